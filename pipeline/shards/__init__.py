"""The data format: plain WebDataset tars, an index beside each, and the order in which training reads them."""
