"""The conformance kit finds what it says: a component that breaks one rule fails the test of that rule alone."""

import inspect

import mutants_manifest
import pytest
import toys

import dcc_plugins.manifest
from dcc_core import Registry, testing
from dcc_core.plugins.registry import Origin
from dcc_plugins import testing as builtin_testing

REGISTRY = Registry(
    [dcc_plugins.manifest, mutants_manifest, toys], [Origin("builtin", "dcc", "0.1"), Origin("mutants"), Origin("toys")]
)
MANIFEST = "test_the_manifest_imports_nothing_heavy"
GLOBAL = ("test_global_randomness_is_left_alone", "global random states stay as they are; that of torch changed")
LOADED = {"embedded": False, "files": lambda self, root: (root / "tiny.bin").write_bytes(bytes(range(0, 192, 2)))}

MUTANTS = {
    testing.LossConformance: {
        "Good": None,
        "Vector": ("test_terms_are_scalars", r"terms are scalars; term 1 has the shape \(3,\)"),
        "NotFinite": ("test_terms_are_finite", "terms are finite; term 1 is nan"),
        "Shared": ("test_terms_share_no_graph", "terms share no graph"),
        "OneClass": ("test_every_class_has_a_gradient", r"every class has a gradient.*classes \[0, 2\]"),
        "Detached": ("test_the_gradient_is_that_of_the_objective", "the gradient is that of the objective; by number"),
        "Unseeded": ("test_the_same_seed_gives_the_same_bytes", "the same seed gives the same bytes; those of images"),
        "Greedy": (
            "test_images_in_a_pass_do_not_change_it",
            "images in a pass do not change it; with 1 at once the gradient is another",
        ),
        "Averaging": (
            "test_a_resumed_run_goes_on_alike",
            "a resumed run continues in the same way; at a later step",
        ),
        "Forgetful": (
            "test_a_resumed_run_goes_on_alike",
            "a resumed run continues in the same way; at a later step",
        ),
        "Unsummed": ("test_several_processes_agree", "several processes agree with one; with 2"),
        "Lopsided": ("test_several_processes_agree", "several processes agree with one; with 2"),
        "Trains": ("test_the_network_is_left_alone", "the network is left alone; it gave a gradient to"),
        "Scales": ("test_the_network_is_left_alone", "the network is left alone; it changed"),
        "Writes": ("test_the_data_are_left_alone", "the data are left alone; it changed the test images"),
        "Global": GLOBAL,
    },
    testing.AugmentationConformance: {
        "Mild": None,
        "OneRow": ("test_draws_have_one_row_each", r"with one row each; of 1 draws 'order' has the shape \(2,\)"),
        "Unaddressed": ("test_draws_come_from_the_generator", "the same generator gives the same result"),
        "BatchMean": ("test_one_draw_serves_batches_of_any_size", "one draw acts the same in batches of every size"),
        "Narrow": ("test_shape_and_type_are_kept", r"shape and type are kept; .*it made .*\(4, 3, 12, 11\)"),
        "Single": ("test_shape_and_type_are_kept", "torch.float32 .* it made torch.float64"),
        "Infinite": ("test_results_are_finite", "results are finite; of zeros some are not"),
        "Still": ("test_it_is_differentiable", "it is differentiable; its images do not depend"),
        "Cut": ("test_it_is_differentiable", "it is differentiable; its gradient is wrong"),
        "InPlace": ("test_images_are_left_alone", "images are not changed in place"),
        "Rolls": GLOBAL,
    },
    testing.ArchitectureConformance: {
        "Small": None,
        "WideLogits": (
            "test_logits_and_features_have_their_shapes",
            r"logits have the shape \(1, 4\); it gave \(1, 5\)",
        ),
        "MapFeatures": ("test_logits_and_features_have_their_shapes", r"features have the shape .* gave \(1, 5, 1\)"),
        "Batchwise": ("test_images_are_seen_one_by_one", "images are seen one by one"),
        "Hidden": ("test_it_can_be_differentiated_twice", "it can be differentiated twice; .*once_differentiable"),
        "Fixed": ("test_initial_weights_come_from_the_generator", "another one gave the same weights"),
        "Ambient": GLOBAL,
    },
    testing.DataConformance: {
        "Tiny": None,
        "Floats": ("test_what_it_loads_is_real_data", "what it loads is RealData; .*expected uint8"),
        "Nameless": ("test_every_class_has_a_name_and_images", "every class has a name of its own"),
        "Bytes": ("test_statistics_are_of_images_from_0_to_1", "statistics are of images scaled to 0..1"),
        "Shuffled": ("test_loading_twice_gives_the_same", "loading twice gives the same; the train parts differ"),
        "Suggests": ("test_suggestions_are_options", "suggestions are options of a run; there is no run.outer_lops"),
        "Silent": ("test_missing_files_are_named", "missing files are one DccError .*; it raised FileNotFoundError"),
        "Stirs": GLOBAL,
    },
    testing.ParametrisationConformance: {
        "Plain": None,
        "Cropped": ("test_it_decodes_to_images_and_labels", "it decodes to images of the data's shape"),
        "Together": ("test_rows_are_decoded_one_by_one", "rows are decoded one by one; a class alone"),
        "Frozen": ("test_every_number_that_requires_grad_is_learned", "6 of 6 in 'spare' have no gradient"),
        "Elsewhere": (
            "test_a_file_gives_the_set_back",
            "a file gives the set back; .*is damaged: ValueError: images are",
        ),
        "Dice": GLOBAL,
    },
    builtin_testing.FormatConformance: {
        "Keeps": None,
        "Rounds": ("test_a_set_comes_back", "a set comes back as it was; images are off by 0.005, more than 1e-06"),
        "Relabels": (
            "test_labels_come_back_or_are_refused",
            r"labels come back, or are refused; of torch.float32 \(6, 3\) it read torch.int64 \(6,\)",
        ),
        "Counts": ("test_the_same_set_gives_the_same_bytes", "the same bytes; set/count.txt differ"),
        "Scribbles": ("test_the_set_is_left_alone", "the set is left alone; writing changed its images"),
        "Trusts": ("test_damaged_files_are_refused", "damaged files are refused; it read a set all the same"),
        "Vague": ("test_missing_files_are_named", "without 'images.pt' it says: .*a file is missing"),
        "Unpickles": ("test_nothing_in_a_file_runs", "nothing in a file runs; a command in 'images.pt' did"),
        "Shakes": GLOBAL,
    },
    builtin_testing.StudyConformance: {
        "Shows": None,
        "Hides": ("test_figures_stand_on_the_page", r"figures stand on the page .* it has \['x.png'\] and links \[\]"),
        "Ragged": ("test_tables_have_rows_of_equal_keys", r"'x' has \['x'\] and \['y'\]"),
        "Endless": ("test_numbers_are_plain", "numbers are plain and finite; 'x' is inf"),
        "Whims": ("test_the_same_seed_gives_the_same_bytes", "the same bytes; those of numbers differ"),
        "Gambles": GLOBAL,
    },
    testing.ObserverConformance: {
        "Hears": None,
        "Deaf": ("test_it_listens_by_hooks", "it listens by hooks; .*object has none"),
        "Stumbles": ("test_its_hooks_raise_nothing", "raise nothing; .*failed in dcc_evaluated .*OSError: no room"),
        "Rattles": GLOBAL,
    },
    testing.RecipeConformance: {
        "Sound": None,
        "Unsound": (
            "test_its_options_are_options_of_a_run",
            "run.outer_lops: unknown option. Did you mean 'outer_loops'",
        ),
    },
    builtin_testing.TableConformance: {
        "Whole": None,
        "Holed": ("test_every_cell_resolves", "every cell resolves; of colective at scale .*Did you mean 'collective'"),
    },
    testing.SelectionConformance: {
        "Picks": None,
        "Fewer": ("test_it_picks_as_many_as_are_asked_for", r"it picks 3 images of every class; it gave \[2, 2, 2\]"),
        "Twice": ("test_no_image_is_picked_twice", "no image is picked twice"),
        "Others": ("test_images_are_of_their_class", r"images are of their class; for class 0 it gave labels \[2\]"),
        "Moody": ("test_the_same_seed_picks_the_same", "the same seed picks the same"),
        "Tosses": GLOBAL,
        "Blinding": ("test_what_it_makes_becomes_a_set", "what it makes becomes a set: 1 finite images of every class"),
    },
}
ALL = [(kit, name, broken) for kit, named in MUTANTS.items() for name, broken in named.items()]


def kit_tests(kit, name, **more):
    """The tests that a class of the kit gives to a component, by name."""
    attributes = {"component": name, "registry": lambda self: REGISTRY, **more}
    if kit is testing.DataConformance:
        attributes = LOADED | attributes
    case = type(f"Test{name}", (kit,), attributes)
    return {method: getattr(case(), method) for method in dir(case) if method.startswith("test_")}


def run(test, folder):
    """A test's message where it fails, and an empty one where it passes or is skipped."""
    arguments = [folder] if "tmp_path" in inspect.signature(test).parameters else []
    folder.mkdir()
    try:
        test(*arguments)
    except AssertionError as error:
        return str(error)
    except pytest.skip.Exception:
        return ""
    return ""


@pytest.mark.parametrize(("kit", "name", "broken"), ALL, ids=[name for _, name, _ in ALL])
def test_a_mutant_fails_the_test_of_its_rule_alone(kit, name, broken, tmp_path):
    tests = kit_tests(kit, name)
    failed = {method: run(t, tmp_path / method) for method, t in tests.items() if method != MANIFEST}
    failed = {method: message for method, message in failed.items() if message}
    if broken is None:
        assert failed == {}
    else:
        method, rule = broken
        assert list(failed) == [method]
        with pytest.raises(AssertionError, match=rf"^{kit.kind} '{name}': .*{rule}"):
            raise AssertionError(failed[method])


def test_a_loss_may_not_be_silent_in_any_step():
    """It has neither a gradient nor terms then, so that two rules are broken."""
    test = kit_tests(testing.LossConformance, "Nothing")["test_terms_are_scalars"]
    with pytest.raises(AssertionError, match="loss 'Nothing': it yields at least one term in every step"):
        test()


@pytest.mark.parametrize("kit", MUTANTS, ids=lambda kit: kit.kind)
def test_every_rule_has_its_mutant(kit):
    found = {broken[0] for broken in MUTANTS[kit].values() if broken}
    assert found == {method for method in dir(kit) if method.startswith("test_")} - {MANIFEST}


def test_a_manifest_that_imports_torch_is_named():
    test = kit_tests(testing.LossConformance, "means")[MANIFEST]
    with pytest.raises(
        AssertionError, match=r"plugin toys: a manifest holds strings only .*its manifest imports torch"
    ):
        test()
    kit_tests(testing.LossConformance, "Good")[MANIFEST]()
