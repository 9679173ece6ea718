"""Words to ImageNet classes: the paper's groups, every synset, and words with several senses."""

import hashlib
import re

import pytest
from paper_groups import GROUPS

from dcc_core import DccError
from dcc_plugins.data.imagenet32 import ImageNet32
from dcc_plugins.data.wordnet import wordnet

LEAF_SETS = "e0706289417361c9aa7b9e5c61cc1d712ac78bd09079c4eb0b1ddaab21cdb4bb"
"""SHA-256 of the class labels below each of the 1860 synsets, made from WordNet 3.0's data.noun itself."""


def table(group):
    return [
        (w, int(label), name) for w, label, name in (line.split() for line in GROUPS[group].split("\n") if line.strip())
    ]


@pytest.mark.parametrize(("group", "count"), list(zip(GROUPS, (9, 26, 16, 11, 9, 27), strict=True)))
def test_the_papers_groups(group, count):
    net = wordnet()
    rows = net.choose(group).rows
    assert len(rows) == count
    assert [(net.wnids[r], r + 1, net.name(r)) for r in rows] == table(group)
    assert list(rows) == sorted(rows)


def test_labels_are_those_of_the_class_table_and_not_of_sorted_ids():
    net = wordnet()
    ids = net.wnids[:1000]
    assert net.name(0) == "kit_fox"
    assert ids[0] == "n02119789"
    by_id = {wnid: i for i, wnid in enumerate(sorted(ids))}
    assert all(by_id[wnid] != row for row, wnid in enumerate(ids))
    for group in ("terrier", "fish", "truck", "insect"):
        wnids = [wnid for wnid, _, _ in table(group)]
        assert [net.wnids[r] for r in net.choose(group).rows] == wnids != sorted(wnids)


def test_every_synset_has_the_leaves_that_wordnet_gives():
    net = wordnet()
    assert len(net.wnids) == len(set(net.wnids)) == 1860
    lines = [f"{w} {','.join(str(r + 1) for r in net.choose(w).rows)}" for w in sorted(net.wnids)]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == LEAF_SETS


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *(("snake", 17), ("dog", 118), ("bird", 59), ("cat", 7), ("car", 10), ("truck.n.01", 8), ("all", 1000)),
        *(("n01674464", 11), ("n02958343", 10), ("car.n.01", 10), ("car.n.02", 2), ("entity", 1000), ("food", 26)),
        *(("food.n.02", 27), ("instrument", 28), ("musical instrument", 26), ("Aquatic Vertebrate", 16)),
        *(("Automobile", 9), ("TRUCK", 9), ("All", 1000), ("cutlery", 4), ("Plane", 1), ("plane", 1)),
    ],
)
def test_words_senses_and_ids(word, count):
    assert len(wordnet().choose(word).rows) == count


@pytest.mark.parametrize(
    ("word", "synset"),
    [
        ("great white shark", "great_white_shark.n.01 n01484850"),
        ("Great-White-Shark", "great_white_shark.n.01 n01484850"),
        ("Cardigan", "Cardigan.n.02 n02113186"),
        ("cardigan", "cardigan.n.01 n02963159"),
        ("harp", "harp.n.01 n03495258"),
    ],
)
def test_case_counts_only_where_it_must(word, synset):
    assert wordnet().choose(word).title.startswith(synset)


def test_a_word_means_its_lowest_sense_and_the_others_are_named():
    choice = wordnet().choose("cat")
    assert choice.title.startswith("cat.n.01")
    assert choice.others == (
        "big_cat.n.01 n02127808 (6 classes): any of several large cats typically able to roar and living in the wild",
    )
    assert [other[:9] for other in wordnet().choose("truck").others] == ["truck.n.0"]


@pytest.mark.parametrize("word", ["crane", "maillot"])
def test_a_word_for_two_classes_asks_for_an_id(word):
    with pytest.raises(DccError, match=rf"'{word}' names 2 classes; write the id of one:\n  .*n0\d+.*\n  .*n0\d+"):
        wordnet().choose(word)


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("snke", r"snake\.n\.01 n01726692 \(17 classes\)"),
        ("truck.n.07", r"truck\.n\.01 n04490091 \(8 classes\)"),
        ("tractor.n.02", "tractor"),
        ("n00000000", "no group"),
        ("", "no group"),
    ],
)
def test_unknown_words_name_their_neighbours(word, near):
    with pytest.raises(DccError, match=f"no group, synset or class named '{re.escape(word)}'(.*\n)*.*{near}|{near}"):
        wordnet().choose(word)


def test_the_licence_ships_with_the_table():
    from importlib import resources

    text = resources.files("dcc_plugins.data").joinpath("imagenet_wordnet.json").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in text
    assert "THIS SOFTWARE AND DATABASE IS PROVIDED" in text


def test_describe_lists_the_classes_with_their_glosses():
    text = ImageNet32(group="car").describe()
    lines = text.splitlines()
    assert lines[0].startswith("car.n.01 n02958343: a motor vehicle")
    assert lines[1] == "10 classes:"
    assert re.fullmatch(
        r" +0  n02701002  label  265  ambulance +a vehicle that takes people to and from hospitals", lines[2]
    )
    assert lines[-2] == "other senses:"
    assert "car.n.02 n02959942 (2 classes): a wheeled vehicle adapted to the rails" in lines[-1]


def test_the_groups_of_the_tests_are_well_formed():
    rows = [row for group in GROUPS for row in table(group)]
    assert len({wnid for wnid, _, _ in rows}) == 98
