import torch

from models.ops.draws import sampled, uniform


def test_known_numbers() -> None:
    """The first three of SplitMix64 from state 0, as its authors' code gives them; of each the highest 24 bits."""
    first = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert uniform(torch.zeros(1, dtype=torch.int64), 3)[0].tolist() == [(number >> 40) / 2**24 for number in first]


def test_numbers_are_spread_evenly_and_are_the_keys_own() -> None:
    keys = torch.tensor([3, -(1 << 62), 7])
    drawn = uniform(keys, 20_000)
    assert ((drawn >= 0) & (drawn < 1)).all()
    torch.testing.assert_close(drawn.mean(1), torch.full((3,), 0.5), rtol=0, atol=0.01)
    torch.testing.assert_close(drawn.var(1), torch.full((3,), 1 / 12), rtol=0, atol=0.003)
    assert torch.corrcoef(torch.cat([drawn, uniform(keys, 20_000, stream=1)])).fill_diagonal_(0).abs().max() < 0.03
    assert torch.equal(uniform(keys[1:2], 100), drawn[1:2, :100])


def test_draws_of_what_is_marked() -> None:
    among = torch.rand(4, 50, generator=torch.Generator().manual_seed(0)) < 0.5
    keys = torch.arange(4)
    drawn = sampled(among, torch.tensor([0, 5, 1000, 7]), keys)
    assert drawn.sum(1).tolist() == [0, 5, int(among[2].sum()), 7]
    assert not (drawn & ~among).any()
    assert torch.equal(sampled(among[1:2], 5, keys[1:2]), drawn[1:2])  # whoever else is in the batch
    assert not torch.equal(sampled(among[1:2], 5, keys[1:2] + 1), drawn[1:2])
    often = sampled(torch.ones(4000, 10, dtype=torch.bool), 3, torch.arange(4000)).float().mean(0)
    torch.testing.assert_close(often, torch.full((10,), 0.3), rtol=0, atol=0.03)
