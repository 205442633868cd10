"""What `init` makes: a look at a data set, bounded in files and time, and a recipe that suits what is there."""
