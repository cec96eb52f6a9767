"""A small preprocessed catalogue and a bundle that knows its words and colours.

The bundle is a real ONNX network with weights set by hand: a word speaks for its class, and so
does the mean colour of the photo, a little louder. Zero pixels, padding and each mask speak for
themselves, so that none of the four inputs can be forgotten unnoticed.
"""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from api import bundle, bundle_format, labels
from api.archive import image_name
from api.bundle_format import InputSpec, TextInput
from api.inputs import join_text

ROOT = Path(__file__).parents[2]
WORDS = {10: "livre", 40: "manette", 1280: "jouet", 2583: "piscine"}
COLOURS = {10: (255, 0, 0), 40: (0, 255, 0), 1280: (0, 0, 255), 2583: (255, 255, 255)}
LABELS = labels.ordered(WORDS)
SIZE, TOKENS = 8, 6
FIRST_ROW = 500  # the real X_test doesn't start at 0 either
PARAMS = {
    "evaluate": {"seed": 42, "calibration_bins": 15, "resamples": 200, "baselines": True},
    "predict": {"top_k": 3},
    "benchmark": {"requests": 40, "clients": 4, "price_per_core_hour": 0.05},
}


def write_bundle(path: Path, synthetic: bool = False, codes: tuple[int, ...] = (*WORDS,)) -> Path:
    """A bundle that answers with these of the codes."""
    columns = [list(WORDS).index(code) for code in codes]
    bundle.write(
        path,
        network(columns).SerializeToString(),
        {bundle_format.TOKENIZER: tokenizer().to_str()},
        labels.ordered(codes),
        InputSpec(
            size=SIZE,
            resampling="bilinear",
            texts={"token_ids": TextInput.of(bundle_format.TOKENIZER, tokenizer())},
        ),
        {"source": "sample" if synthetic else "folder", "synthetic": synthetic},
        {},
    )
    return path


def tokenizer() -> Tokenizer:
    vocabulary = {word: at for at, word in enumerate(["[PAD]", "\n", "[UNK]", *WORDS.values()])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.enable_truncation(TOKENS)
    made.enable_padding(length=TOKENS)
    return made


def network(columns: list[int]) -> onnx.ModelProto:
    """softmax(sum of the words' rows + mean colour x weights + a row for each mask)."""
    spoken = np.concatenate([np.zeros((3, 4)), 2 * np.eye(4)])[:, columns]
    seen = np.array([[3, 0, 0, 2], [0, 3, 0, 2], [0, 0, 3, 2]])[:, columns]
    constants = {
        "words": spoken.astype(np.float32),
        "colours": (seen / 255).astype(np.float32),
        "plane": np.array([1, 2], np.int64),
        "sequence": np.array([1], np.int64),
        "has_image_row": np.array([[0.3, 0.2, 0.1, 0]], np.float32)[:, columns],
        "has_text_row": np.array([[0, 0.1, 0.2, 0.3]], np.float32)[:, columns],
        "last": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["raw"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["raw", "plane"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "colours"], ["image"]),
        helper.make_node("Gather", ["words", "token_ids"], ["embedded"]),
        helper.make_node("ReduceSum", ["embedded", "sequence"], ["text"], keepdims=0),
        *_flagged("image", "has_image"),
        *_flagged("text", "has_text"),
        helper.make_node("Add", ["image_flagged", "text_flagged"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [bundle.OUTPUT], axis=1),
    ]
    inputs = [
        helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", SIZE, SIZE, 3]),
        helper.make_tensor_value_info("has_image", TensorProto.BOOL, ["N"]),
        helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["N", TOKENS]),
        helper.make_tensor_value_info("has_text", TensorProto.BOOL, ["N"]),
    ]
    output = helper.make_tensor_value_info(bundle.OUTPUT, TensorProto.FLOAT, ["N", len(columns)])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name=""
    )


def _flagged(branch: str, mask: str) -> list[onnx.NodeProto]:
    """The branch's evidence, and a row of constants where the mask is set."""
    return [
        helper.make_node("Cast", [mask], [f"{mask}_float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", [f"{mask}_float", "last"], [f"{mask}_column"]),
        helper.make_node("MatMul", [f"{mask}_column", f"{mask}_row"], [f"{mask}_bias"]),
        helper.make_node("Add", [branch, f"{mask}_bias"], [f"{branch}_flagged"]),
    ]


def catalogue(rows: int) -> pd.DataFrame:
    """Products whose words and photos mislead now and then, and are missing now and then."""
    codes = list(WORDS)
    at = np.arange(rows)
    code = [codes[position % 4] for position in at]
    said = [codes[(position + (position % 5 == 0)) % 4] for position in at]
    shown = [codes[(position + (position % 3 == 0)) % 4] for position in at]
    designation = [
        ""
        if position == 3
        else f"{WORDS[word].title() if position % 9 == 1 else WORDS[word]} n°{position}"
        for position, word in zip(at, said, strict=True)
    ]
    description = [
        f"<p>Un article &agrave; {WORDS[word]}</p>" if position % 2 and position != 3 else ""
        for position, word in zip(at, said, strict=True)
    ]
    table = pd.DataFrame(
        {
            "row": at + FIRST_ROW,
            "designation": designation,
            "description": description,
            "text": list(map(join_text, designation, description)),
            "productid": at + 7_000,
            "imageid": at + 1_000_000,
            "image": [
                "" if position % 7 == 2 else image_name(position + 1_000_000, position + 7_000)
                for position in at
            ],
            "code": np.array(code, np.int32),
            "label": np.array([codes.index(value) for value in code], np.int32),
        }
    )
    return table.assign(shown=shown)


def photo(code: int, position: int) -> bytes:
    """A JPEG of the class's colour; every eleventh is an empty file."""
    if position % 11 == 5:
        return b""
    buffer = io.BytesIO()
    Image.new("RGB", (24, 16), COLOURS[code]).save(buffer, "JPEG")
    return buffer.getvalue()


def write_workspace(root: Path, rows: int = 60) -> Path:
    """data/preprocessed, data/raw/images.zip, models/bundle and params.yaml, as stages see them."""
    preprocessed, raw = root / "data" / "preprocessed", root / "data" / "raw"
    preprocessed.mkdir(parents=True)
    raw.mkdir()
    table = catalogue(rows)
    with zipfile.ZipFile(raw / "images.zip", "w") as archive:
        for position, row in table[table["image"] != ""].iterrows():
            archive.writestr(f"images/{row['image']}", photo(row["shown"], position))
    table = table.drop(columns="shown")
    for split in ("train", "validation", "test"):
        table.to_parquet(preprocessed / f"{split}.parquet", index=False)
    challenge = table.drop(columns=["code", "label"])
    challenge.to_parquet(preprocessed / "challenge.parquet", index=False)
    labels.write(LABELS, preprocessed / "labels.json")
    (preprocessed / "source.json").write_text(json.dumps({"source": "folder", "synthetic": False}))
    write_bundle(root / "models" / "bundle")
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return root


def paths(output: str) -> list[str]:
    """The arguments of evaluate, predict and benchmark, relative to a workspace."""
    return ["models/bundle", "data/preprocessed", "data/raw/images.zip", output]


def run_stage(
    root: Path, stage: str, output: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs a stage as dvc.yaml does, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *paths(output)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
