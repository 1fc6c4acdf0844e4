"""Folds never share a group, are spread evenly, and are the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segwright.core.case import Case, Dataset, Fold, LabelSource, Source, Split
from segwright.core.errors import IntegrityError, UsageError
from segwright.core.inspection import CaseFacts
from segwright.core.labels import LabelSpace, Structure
from segwright.planning.split import check_split, make_split

SPACE = LabelSpace(structures=(Structure(name="common", values=(1,)), Structure(name="rare", values=(2,))))


def dataset_of(groups: list[int]) -> Dataset:
    cases = [
        Case(id=f"c{i}", images=(Source(path=f"{i}"),), label=(LabelSource(path=f"l{i}"),), group=f"g{g}")
        for i, g in enumerate(groups)
    ]
    return Dataset(root=".", layout="test", channels=("a",), labels=SPACE, cases=tuple(cases))


def facts_of(dataset: Dataset, rare: set[int], seed: int = 0) -> list[CaseFacts]:
    sizes = np.random.default_rng(seed).lognormal(5, 1, len(dataset.cases))
    return [
        CaseFacts(
            case=case.id,
            group=case.group,
            shape=(1, 4, 4),
            spacing=(None, 1.0, 1.0),
            orientation="SAR",
            image_type="uint8",
            percentiles=((0, 0, 1, 2, 3),),
            mean=(1.0,),
            std=(1.0,),
            zero_share=0.0,
            content=(1, 4, 4),
            volumes={"common": int(sizes[i]) + 1, "rare": 5 if i in rare else 0},
        )
        for i, case in enumerate(dataset.cases)
    ]


@given(
    groups=st.lists(st.integers(0, 14), min_size=6, max_size=60),
    rare=st.sets(st.integers(0, 59)),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_groups_never_cross_and_every_case_is_validated_once(
    groups: list[int], rare: set[int], folds: int, seed: int
) -> None:
    dataset = dataset_of(groups)
    if len(set(groups)) < folds:
        with pytest.raises(UsageError):
            make_split(dataset, facts_of(dataset, rare), folds, seed)
        return
    split = make_split(dataset, facts_of(dataset, rare), folds, seed)
    check_split(split)
    validated = Counter(case for fold in split.folds for case in fold.validation)
    assert set(validated) == {case.id for case in dataset.cases}
    assert set(validated.values()) == {1}
    for fold in split.folds:
        assert fold.validation
        assert fold.train
        assert not set(fold.train) & set(fold.validation)
        assert len(fold.train) + len(fold.validation) == len(groups)
        trained = {split.groups[case] for case in fold.train}
        assert not trained & {split.groups[case] for case in fold.validation}


def test_sizes_rare_structures_and_volume_are_balanced() -> None:
    dataset = dataset_of(list(range(100)))
    rare = set(range(0, 100, 10))
    facts = facts_of(dataset, rare)
    split = make_split(dataset, facts, 5, 0)
    assert {len(fold.validation) for fold in split.folds} == {20}
    for fold in split.folds:
        assert sum(int(case[1:]) in rare for case in fold.validation) == 2
    median = np.median([fact.volumes["common"] for fact in facts])
    volume = {fact.case: fact.volumes["common"] for fact in facts}
    for fold in split.folds:
        assert 8 <= sum(volume[case] > median for case in fold.validation) <= 12


def test_groups_of_unequal_size_give_folds_of_like_size() -> None:
    groups = [g for g in range(30) for _ in range(1 + g % 4)]
    dataset = dataset_of(groups)
    sizes = [len(fold.validation) for fold in make_split(dataset, facts_of(dataset, set()), 5, 3).folds]
    assert max(sizes) - min(sizes) <= 2


def test_same_seed_same_folds_whatever_the_order_of_facts() -> None:
    dataset = dataset_of([i // 2 for i in range(40)])
    facts = facts_of(dataset, {1, 5, 9})
    assert make_split(dataset, facts, 4, 7) == make_split(dataset, facts[::-1], 4, 7)
    assert make_split(dataset, facts, 4, 7) != make_split(dataset, facts, 4, 8)


def test_all_cases_train_without_folds() -> None:
    dataset = dataset_of([0, 0, 1])
    split = make_split(dataset, [], 0, 0)
    assert split.folds == (Fold(train=("c0", "c1", "c2"), validation=()),)
    check_split(split)


@pytest.mark.parametrize(
    ("groups", "folds", "word"), [([0, 1, 2], 5, "folds=3"), ([0, 0], 2, "folds=0"), ([0, 1], 1, "folds=2")]
)
def test_impossible_numbers_name_a_possible_one(groups: list[int], folds: int, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_split(dataset_of(groups), [], folds, 0)
    assert word in str(caught.value.hint)


def test_unlabelled_cases_take_no_part() -> None:
    dataset = dataset_of([0, 1, 2])
    bare = Case(id="u", images=(Source(path="u"),), group="u")
    dataset = dataset.model_copy(update={"cases": (*dataset.cases, bare)})
    assert "u" not in make_split(dataset, [], 3, 0).groups


def test_a_leaking_group_is_named() -> None:
    split = Split(folds=(Fold(train=("a",), validation=("b",)),), groups={"a": "p1", "b": "p1"})
    with pytest.raises(IntegrityError, match="'p1' leaks"):
        check_split(split)
    with pytest.raises(IntegrityError, match="no group"):
        check_split(Split(folds=(Fold(train=("a",), validation=("x",)),), groups={"a": "p"}))


def test_folds_of_a_seed_are_the_kept_ones() -> None:
    """A run that is repeated years later must divide its cases alike."""
    dataset = dataset_of(list(range(10)))
    kept = {
        0: [("c1", "c9"), ("c2", "c4"), ("c7", "c8"), ("c0", "c3"), ("c5", "c6")],
        3: [("c1", "c5"), ("c2", "c4"), ("c3", "c8"), ("c7", "c9"), ("c0", "c6")],
    }
    for seed, folds in kept.items():
        split = make_split(dataset, facts_of(dataset, {1, 2}), 5, seed)
        assert [fold.validation for fold in split.folds] == folds
