"""Words of the command line that nobody means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reglab.config import FIELDS, RunConfig, parse_overrides, with_overrides
from reglab.errors import UserError
from tests.hostile import corpus
from tests.hostile.conftest import few

PRINTED = {kind: arrange for kind, arrange in corpus.KINDS["words"]().items() if arrange(None)[:2] == ["train", "--print-config"]}


@pytest.mark.parametrize("arrange", PRINTED.values(), ids=PRINTED)
def test_a_word_that_nobody_means_is_told_in_a_line(reglab, capsys, tmp_path, arrange):
    code = reglab(*arrange(tmp_path))
    said = capsys.readouterr().err
    assert "unexpected" not in said
    assert code == 0 or (code == 2 and said.startswith("reglab: ") and said.count("\n") == 1)


TEXTS = st.one_of(
    st.text(max_size=30),
    st.text("[]{}'\",:&*!|>%@`#-?\\ \n\t0a", max_size=60),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["null", "true", "[null]", "[[1]]", "!!int 1", "'", '"\\x', "1e999", "0x1", "1_0", "2001-99-99", "&a", "*a", "<<", "="]
    ),
    st.integers(1, 3000).map(lambda count: "[" * count),
    st.integers(1, 6000).map(lambda digits: "9" * digits),
)


@few
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), TEXTS, min_size=1, max_size=3))
def test_any_value_of_any_key_is_taken_or_told(words):
    try:
        config = RunConfig.parse(with_overrides({}, [f"{key}={text}" for key, text in words.items()]))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert RunConfig.parse(config.model_dump(mode="json")) == config


@few
@given(st.text(max_size=60))
def test_any_word_is_taken_or_told(word):
    try:
        parse_overrides([word])
    except UserError as error:
        assert "\n" not in str(error)


def test_a_number_beyond_the_limits_is_told_with_the_limit():
    for word, limit in (("train.epochs=10000000000", "at least 1, at most 1e+09"), ("data.black=-1e300", "a number, at least -1e+38")):
        with pytest.raises(UserError, match=rf" must be .*{limit.replace('+', '.')}$"):
            RunConfig.parse(with_overrides({}, [word]))


def test_a_text_beyond_the_limits_is_not_quoted():
    with pytest.raises(UserError, match=r"^data.name is a text of 100,000 characters: give at most 200$"):
        RunConfig.parse({"data": {"name": "y" * 100_000}})
    with pytest.raises(UserError, match=r"^cell is a text of 100,000 characters: give at most 4,000$"):
        RunConfig.parse({"cell": "y" * 100_000})


def test_a_list_without_end_is_read_to_its_limit_only():
    with pytest.raises(UserError, match="a list of more than 10,000 values"):
        parse_overrides(["train.seed=[" + "1," * 30_000 + "[["])
