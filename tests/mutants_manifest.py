"""The rows of `mutants`, in strings."""

from dcc_core import Component, hookimpl

LOSSES = [
    "Good",
    "Vector",
    "Nothing",
    "NotFinite",
    "Shared",
    "OneClass",
    "Detached",
    "Unseeded",
    "Greedy",
    "Averaging",
    "Unsummed",
    "Lopsided",
    "Forgetful",
    "Scales",
    "Trains",
    "Writes",
    "Global",
]
AUGMENTATIONS = [
    "Mild",
    "Still",
    "BatchMean",
    "Narrow",
    "Single",
    "Infinite",
    "Cut",
    "Unaddressed",
    "InPlace",
    "Rolls",
    "OneRow",
]
ARCHITECTURES = ["Small", "WideLogits", "MapFeatures", "Batchwise", "Hidden", "Fixed", "Ambient"]
SOURCES = ["Tiny", "Floats", "Nameless", "Bytes", "Shuffled", "Suggests", "Silent", "Stirs"]
PARAMETRISATIONS = ["Plain", "Cropped", "Together", "Frozen", "Elsewhere", "Dice"]
FORMATS = ["Keeps", "Rounds", "Relabels", "Counts", "Scribbles", "Trusts", "Vague", "Unpickles", "Shakes"]
STUDIES = ["Shows", "Hides", "Ragged", "Endless", "Whims", "Gambles"]
OBSERVERS = ["Hears", "Deaf", "Stumbles", "Rattles"]
SELECTIONS = ["Picks", "Fewer", "Twice", "Others", "Moody", "Tosses", "Blinding"]


def rows(names):
    return [Component(name=name, target=f"mutants:{name}", summary="") for name in names]


@hookimpl
def dcc_losses():
    return rows(LOSSES)


@hookimpl
def dcc_augmentations():
    return rows(AUGMENTATIONS)


@hookimpl
def dcc_architectures():
    return rows(ARCHITECTURES)


@hookimpl
def dcc_datasets():
    return rows(SOURCES)


@hookimpl
def dcc_parametrisations():
    return rows(PARAMETRISATIONS)


@hookimpl
def dcc_selections():
    return rows(SELECTIONS)


@hookimpl
def dcc_formats():
    return rows(FORMATS)


@hookimpl
def dcc_studies():
    return rows(STUDIES)


@hookimpl
def dcc_observers():
    return rows(OBSERVERS)


@hookimpl
def dcc_recipes():
    return [Component(name=name, target=f"mutant_files:{name}.toml", summary="") for name in ("Sound", "Unsound")]


@hookimpl
def dcc_tables():
    return [Component(name=name, target=f"mutant_files:{name}.toml", summary="") for name in ("Whole", "Holed")]
