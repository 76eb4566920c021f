"""What `evaluate` scores a network of a run on, and by which measures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg import datasets
from kseg.check.preflight import open_parts
from kseg.chosen import GIVEN
from kseg.datasets import DATASETS, Dataset, survey
from kseg.datasets.folds import in_folds
from kseg.datasets.shards.addresses import is_address
from kseg.errors import ConfigError, KsegError, Setting
from kseg.folders import read_config
from kseg.log import LOG
from kseg.metrics import Measure, measure
from kseg.recipes.plugins import check_plugins
from kseg.recipes.recipe import Recipe

WHICH_DATA = ("Pass ", Setting("data.name", "NAME"), " and ", Setting("data_dir", "DIR"))


def config_of(model: str | Path | None) -> dict[str, Any] | None:
    """The configuration of a run, of a preset, or of the run whose folder holds a `.keras` file; None without one."""
    if model is None:
        return None
    beside = Path(model).parent if Path(model).suffix == ".keras" else model
    return read_config(beside)


def measures_of(model: str | Path, data: Dataset) -> list[Measure]:
    """The measure that chose the network, if it is known and `data` can be scored by it; else an empty list."""
    config = config_of(model)
    check_plugins(model, config or {})
    name = config["recipe"].get("measure", GIVEN) if config else GIVEN
    chosen = [] if name == GIVEN else [measure(name)]
    return [each for each in chosen if not each.lacks(data)]


def open_data(
    model: str | Path | None,
    dataset: str | None,
    data_dir: str | Path | None,
    split: str | None,
    settings: Mapping[str, Any],
) -> Dataset:
    """The data set to score, named by a network, by a data set, or by both. It logs which part is scored.

    Args:
      model: a run folder or a network of one; its data set, folder and options are the defaults.
      dataset, data_dir: the named data set and its folder.
      split: the part; None for all of a folder that the network was not trained on, else for test if there is one,
        else val.
      settings: other values of the data set's options, as {"data.classes": 3}.

    Raises:
      ConfigError: no data set is named, a setting is no option of it, or the networks of a cross-validation have seen
        all images.
    """
    config = config_of(model)
    own: dict[str, Any] = {}
    own_data = False
    if config and dataset in (None, config["recipe"]["data"]["name"]):
        own_data = True
        check_plugins(model or "", config)
        spec = Recipe.from_json(config["recipe"]).data
        dataset, own = spec.name, dict(spec.options)
    if dataset == GIVEN:
        raise ConfigError(
            f"{model}: it was trained on data handed over in Python.",
            *WHICH_DATA,
            ". In Python: kseg.evaluate(kseg.load(...), data).",
        )
    if not dataset:
        raise ConfigError(
            "It is not said which data to score on; only a run folder remembers its data.", *WHICH_DATA, "."
        )
    kind, asked = DATASETS.get(dataset), datasets.options_from(dataset, settings)
    if config and "split_rule" in asked:
        raise ConfigError(
            "data.split_rule must be that of the run: another rule would score images that it was trained on.",
            "Leave it out.",
        )
    trained_there = bool(config) and (data_dir is None or _same_place(data_dir, (config or {}).get("data_dir")))
    own_data = own_data and trained_there
    if config and not trained_there and not getattr(kind, "published", True):
        trained_there = _is_moved(dataset, data_dir, own | asked, config)
        if not trained_there:
            own = {name: value for name, value in own.items() if name not in getattr(kind, "local_options", ())}
            split = split or "all"
    data_dir = data_dir or (config or {}).get("data_dir")
    parts = _parts(dataset, data_dir, own | asked, config) if config and trained_there else {}
    if split is None and [*parts] == ["train"]:
        raise ConfigError(
            f"{model}: each of its networks was trained on all of these images but its own part, so that their scores "
            f"would say little. {Path(model or '') / 'report.json'} has the scores on what each has not seen.",
            *("Score other images: ", Setting("data_dir", "NEW"), "."),
        )
    splits = ("test", "val") if split is None else (split,)
    data = next((parts[name] for name in splits if name in parts), None)
    if data is None:
        data = datasets.open_first(dataset, data_dir, splits, **(own | asked))
    LOG.info("data: %s", _introduction(data, unsure=config is None and split is None))
    before = (config or {}).get("fingerprint", {}).get(data.split)
    if own_data and not asked and before not in (None, survey(data).fingerprint):
        LOG.warning("images or labels of %s are not those that the run began with.", data.split)
    return data


def _introduction(data: Dataset, *, unsure: bool) -> str:
    text = f"{data.name} {data.split}, {len(data)} images"
    if unsure and not data.published and "all" in data.splits:
        text += "; if the network was not trained on this folder, the split `all` scores the whole of it"
    return text


def _same_place(one: str | Path, other: str | Path | None) -> bool:
    if other is None or is_address(one) or is_address(other):
        return str(one) == str(other)
    return Path(one).resolve() == Path(other).resolve()


def _is_moved(name: str, data_dir: str | Path | None, options: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a folder holds the same images that the run was trained on, in another place."""
    try:
        parts = _parts(name, data_dir, options, config)
        train = parts.get("train") or datasets.open_first(name, data_dir, ("train", "trainval"), **options)
        return survey(train).fingerprint == config["fingerprint"].get("train")
    except KsegError:
        return False


def _parts(
    name: str, data_dir: str | Path | None, options: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, Dataset]:
    """The parts of a run in folds, by use; {} for a run that holds out the part of that name."""
    recipe = Recipe.from_json(config["recipe"])
    if recipe.folds is None:
        return {}
    return in_folds(open_parts(name, data_dir, None, options), recipe.folds, recipe.fold)
