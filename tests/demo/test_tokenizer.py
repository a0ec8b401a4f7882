"""The character tokenizer: one character, one token, and back again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from training.decoding.prompts import Renderer
from training.demo import tokenizer


@pytest.fixture(scope="module")
def characters():
    return tokenizer.build()


@given(text=st.text(alphabet=tokenizer.CHARACTERS, max_size=60))
def test_decoding_inverts_encoding(text):
    characters = tokenizer.build()
    ids = characters.encode(text)
    assert len(ids) == len(text)
    assert characters.decode(ids) == text
    assert characters.decode([*ids, characters.eos_token_id], skip_special_tokens=True) == text


@pytest.mark.parametrize("text", ["é", "三", "\t", "🙂", "\x00"])
def test_an_unknown_character_becomes_unk(characters, text):
    assert set(characters.encode(text)) == {characters.unk_token_id}
    assert characters.decode(characters.encode(f"a{text}b"), skip_special_tokens=True) == "ab"


def test_it_survives_saving(characters, tmp_path):
    characters.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Mia has 3  bags .\n3 * 4 = 12\n#### 12 <eos>"
    assert loaded.encode(text) == characters.encode(text)
    assert loaded.decode(loaded.encode(text)) == text


def test_prompt_and_completion_are_plain_text(characters):
    renderer = Renderer(characters)
    assert renderer.text(renderer.prompt("How many?")) == "How many?\n"
    ids = renderer.completion("1 + 2 = 3", "3")
    assert ids[-1] == characters.eos_token_id
    assert renderer.text(ids) == "1 + 2 = 3\n#### 3"
