from __future__ import annotations

from vgbench.records.signature import Signature, differences

A = Signature((("metric", "fvd"), ("clips", "2048+2048"), ("size", "64"), ("v", "1.0")))
B = Signature((("metric", "fvd"), ("clips", "2048+1000"), ("size", "64"), ("feat", "i3d"), ("v", "1.0")))


def test_prints_as_one_line():
    assert str(A) == "fvd|clips:2048+2048|size:64|v:1.0"


def test_differences_name_the_fields():
    assert differences(A, A) == []
    assert differences(A, B) == [("clips", "2048+2048", "2048+1000"), ("feat", "-", "i3d")]


def test_hash_follows_the_line():
    assert A.short_hash == Signature(A.fields).short_hash != B.short_hash
    assert len(A.short_hash) == 8


def test_values_cannot_forge_a_field():
    assert str(Signature((("metric", "fvd|clips:1+1"), ("a", "x\ny")))) == "fvd/clips:1+1|a:x y"
