from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import Buckets, FakeBackbone, build
from hypothesis import given
from hypothesis import strategies as st

from liveedit_bench.errors import BenchError
from liveedit_bench.metrics.answers import COLUMNS
from liveedit_bench.runners import lifelong
from liveedit_bench.runners.bounds import Bounds
from liveedit_bench.runners.table import TableInfo, joined, read_table, to_bytes

INFO = TableInfo(stream_sha256="0" * 64, normalisation="exact")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    out = tmp_path_factory.mktemp("table") / "run"
    lifelong.run(editor=Buckets(FakeBackbone()), stream=build(30), steps=30, out=out, progress=False)
    return read_table(out / "probes.parquet")[0]


def test_columns_types_and_metadata(table: pd.DataFrame, tmp_path: Path):
    path = tmp_path / "probes.parquet"
    path.write_bytes(to_bytes(table, INFO))
    again, info = read_table(path)
    assert info == INFO
    assert {name: str(kind) for name, kind in again.dtypes.items()} == COLUMNS
    pd.testing.assert_frame_equal(again, table)
    assert [str(field.type) for field in pq.read_schema(path)][13] == "list<element: int32>"
    assert pq.ParquetFile(path).metadata.row_group(0).column(3).compression == "ZSTD"


@given(st.randoms(use_true_random=False))
def test_bytes_depend_on_the_rows_alone(table: pd.DataFrame, random):
    order = list(range(len(table)))
    random.shuffle(order)
    cut = random.randrange(1, len(table))
    pieces = [table.iloc[order[:cut]], table.iloc[order[cut:]]]
    assert to_bytes(joined(pieces), INFO) == to_bytes(table, INFO)


def test_what_is_no_table_is_told(tmp_path: Path):
    with pytest.raises(BenchError, match="finish the run first"):
        read_table(tmp_path / "probes.parquet")
    (tmp_path / "probes.parquet").write_bytes(b"PAR1 rubbish")
    with pytest.raises(BenchError, match="no answers table"):
        read_table(tmp_path / "probes.parquet")
    pd.DataFrame({"step": [1]}).to_parquet(tmp_path / "probes.parquet")
    with pytest.raises(BenchError, match="other columns than answers have: 'when'"):
        read_table(tmp_path / "probes.parquet")


def test_other_columns_types_and_sizes_are_told(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "probes.parquet"
    path.write_bytes(to_bytes(table, INFO))
    arrow = pq.read_table(path)

    def refused(changed: pa.Table, match: str) -> None:
        pq.write_table(changed, path)
        with pytest.raises(BenchError, match=match):
            read_table(path)

    refused(arrow.append_column("confidence", pa.array([1.0] * len(arrow))), "other columns .* 'confidence'")
    refused(arrow.drop_columns(["margin"]), "other columns .* 'margin'")
    refused(arrow.select([*arrow.column_names[1:], "step"]), "other columns .* their order")
    at = arrow.column_names.index("step")
    refused(arrow.set_column(at, "step", arrow["step"].cast(pa.string())), "the column step .* is string, not int32")
    pq.write_table(arrow, path)
    assert len(read_table(path)[0]) == len(table)
    for bounds, match in (
        (Bounds(size=2**30, rows=5, values=2**30), "claims .* rows; more than 5 are not read"),
        (Bounds(size=2**30, rows=2**30, values=5), "more than 5 tokens"),
        (Bounds(size=10, rows=2**30, values=2**30), "is larger than 0 MiB"),
    ):
        monkeypatch.setattr("liveedit_bench.runners.table.BOUNDS", bounds)
        with pytest.raises(BenchError, match=match):
            read_table(path)
