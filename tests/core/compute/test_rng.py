"""Addressed random numbers."""

import torch

from dcc_core import Randomness, seeded


def numbers(generator):
    return torch.rand(4, generator=generator).tolist()


def test_the_same_address_gives_the_same_numbers():
    random = Randomness(3).at("set", 0)
    assert numbers(random.generator("real", 1)) == numbers(Randomness(3, ("set", 0)).generator("real", 1))


def test_every_part_of_an_address_counts():
    seen = {
        tuple(numbers(Randomness(seed).at(*address).generator("x")))
        for seed in (0, 1)
        for address in [(), ("a",), ("b",), ("a", 1), ("a", "1"), (1,), ("a", 1, 1), ("a1",), ("1", "a")]
    }
    assert len(seen) == 18


def test_addresses_are_frozen():
    """A change of the addressing would change every published result of a seed."""
    assert Randomness(0).at("set", 0).generator("selection", 3).initial_seed() == 4389099804005917694


def test_seeded_leaves_the_global_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with seeded(torch.Generator().manual_seed(1)):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(7)
    with seeded(torch.Generator().manual_seed(1)):
        assert torch.equal(torch.rand(3), first)


def test_two_blocks_with_one_generator_differ():
    """The backbone and the head of a network, built one after the other, must not be alike."""
    generator = torch.Generator().manual_seed(1)
    with seeded(generator):
        first = torch.rand(3)
    with seeded(generator):
        assert not torch.equal(torch.rand(3), first)
