"""Coefficient functions as text: they mean what Python means by them, and hostile text is refused with its column."""

from __future__ import annotations

import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petrov.rom.operators.expressions import as_function, as_theta, expression
from petrov.rom.operators.grammar import OPERATIONS

NAMES = ["k", "m1"]
POINTS = np.random.default_rng(5501).uniform(0.1, 1, (40, 3))


def joined(parts):
    """(our text, Python's text) of an operation between two expressions, brackets left out: precedence is the parser's."""
    (a, b, operation) = parts
    return tuple(f"{x}{operation}{y}" for x, y in zip(a, b, strict=True))


def called(parts):
    name, a = parts
    return f"{name}({a[0]})", f"np.{name}({a[1]})"


LEAVES = st.one_of(
    st.sampled_from(["k", "m1", "x0", "x2", "pi"]).map(lambda name: (name, name)),
    st.sampled_from(["2", ".5", "3.", "1e-1", "0", "7E+0"]).map(lambda number: (number, f"np.float64({number})")),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, inner, st.sampled_from(["+", "-", " * ", "/", "**"])).map(joined),
        inner.map(lambda a: (f"(\t{a[0]} )", f"({a[1]})")),
        inner.map(lambda a: (f"-{a[0]}", f"-{a[1]}")),
        st.tuples(st.sampled_from(["exp", "sin", "cos", "tan", "sqrt", "log", "abs"]), inner).map(called),
        st.tuples(st.sampled_from(["minimum", "maximum"]), inner, inner).map(
            lambda t: (f"{t[0]}({t[1][0]},{t[2][0]})", f"np.{t[0]}({t[1][1]}, {t[2][1]})")
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300)
@given(TREES)
def test_a_text_means_what_python_means_by_it(texts):
    ours, python = texts
    mu = {"k": 1.7, "m1": 0.3}
    with np.errstate(all="ignore"):
        known = {name: np.float64(value) for name, value in mu.items()} | {"x0": POINTS[:, 0], "x2": POINTS[:, 2], "pi": np.float64(np.pi)}
        wanted = np.broadcast_to(eval(python, {"np": np}, known), 40)
    try:
        got = expression(ours, NAMES)(POINTS, mu)
    except ValueError as error:
        assert "finite" in str(error)
        assert not np.isfinite(wanted).all() or "column" in str(error)  # a constant part of it is not finite
        return
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


@settings(deadline=None, max_examples=300)
@given(st.text("k1x.e+-*/()j, \n_'\"[]:=@\0é²٣^%;#\\", max_size=30))
def test_any_text_is_an_expression_or_a_value_error(text):
    try:
        made = expression(text, NAMES)
    except ValueError as error:
        assert "column" in str(error) and "allowed" in str(error)
    else:
        assert expression(made.text, made.names) == made


REFUSED = {  # text -> (column, what the message says of it)
    "": (1, "the end"), "   ": (4, "the end"), "k +": (4, "the end"), "k k": (3, "'k'"), "(k": (3, "the end"), "k)": (2, r"'\)'"),
    "2 ^ k": (3, r"powers are written \*\*"), "k = 2": (3, "'='"), "k % 2": (3, "'%'"), "k // 2": (4, "'/'"), "k < 1": (3, "'<'"),
    "q + 1": (1, "q is not known"), "k.real": (2, "real"), "k[0]": (2, r"'\['"), "lambda: k": (7, "':'"), "k if k else 1": (3, "'if'"),
    "__import__": (1, "not known"), "k.__class__.__mro__": (2, "__class__"), "'text'": (1, "'"), "f'{k}'": (2, "'"),
    "exp": (4, "the end"), "exp k": (5, r"'\('"), "exp(k, k)": (6, "','"), "minimum(k)": (10, r"'\)'"), "abs()": (5, r"'\)'"),
    "0x1f": (1, "0x1f"), "1_000": (1, "1_000"), "1if 2": (1, "1if"), "1k": (1, "1k"), "..5": (1, r"\.\.5"), "1e5j5": (1, "1e5j5"),
    "1e999": (1, "inf"), "9**9**9**9": (5, "inf"), "9" * 5000: (1, "inf"), "1 + log(0)": (5, "-inf"), "0/0": (2, "nan"),
    "(-8)**(1/3)": (5, "nan"), "maximum(1j, 2)": (1, "complex"), "(" * 51 + "k" + ")" * 51: (51, "deeper than 50"),
    "k" + "**k" * 3000: (151, "deeper than 50"), "-" * 9000 + "k": (51, "deeper than 50"), "k+" * 5000 + "k": (10001, "longer"),
    "é": (1, "é"), "k\0": (2, "x00"), "٣": (1, "٣"),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[1:25])
def test_what_is_refused(text):
    column, said = REFUSED[text]
    start = time.process_time()
    with pytest.raises(ValueError, match=rf"^expression .*, column {column}: .*{said}") as caught:
        expression(text, NAMES)
    assert "the names k, m1, x, x0, x1, x2, pi and the functions exp, sin" in str(caught.value)
    assert time.process_time() - start < 1
    assert len(str(caught.value)) < 500


def test_long_sums_are_read():
    assert expression("+".join(["k"] * 4999), NAMES)({"k": 1}) == 4999
    assert expression("(" * 49 + "k" + ")" * 49, NAMES)({"k": 2.5}) == 2.5


def test_thetas_broadcast():
    k = np.linspace(1, 2, 5)
    for text, wanted in {"k*m1": np.outer(k, [1, 2, 3]), "3": np.full((5, 3), 3.0), "-k**2": np.repeat(-(k**2)[:, None], 3, 1)}.items():
        got = as_theta(text, NAMES)({"k": k[:, None], "m1": np.array([1, 2, 3]), "ignored": "text"})
        np.testing.assert_allclose(got, wanted, rtol=1e-15)
        got += 1  # of its own memory
    assert expression("k + 1j", NAMES)({"k": 2}) == 2 + 1j
    np.testing.assert_array_equal(k, np.linspace(1, 2, 5))


def test_functions_of_points():
    g = as_function("x*k", NAMES)
    np.testing.assert_array_equal(g(np.array([[1.0], [2.0]]), {"k": 3.0, "m1": 0.0}), [3.0, 6.0])
    assert as_function("k", NAMES)(np.empty((0, 2)), {"k": 1}).shape == (0,)
    np.testing.assert_array_equal(as_function("k", NAMES)(POINTS, {"k": 2j}), np.full(40, 2j))


def home(name):
    if name == "numpy":
        return np
    return pytest.importorskip({"strict": "array_api_strict", "torch": "torch"}[name])


@pytest.mark.parametrize("library", ["numpy", "strict", "torch"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("text", ["2**k + exp(-k)/3", "minimum(k, 2) * maximum(1, m1)", "abs(k - 2)", "7", "k*(1 + 2j)", "sqrt(k) - -m1"])
def test_libraries_and_precisions(library, precision, text):
    xp = home(library)
    k = xp.asarray([1.0, 3.0], dtype=getattr(xp, precision))
    wanted = expression(text, NAMES)({"k": np.array([1.0, 3.0]), "m1": 1.5})
    got = expression(text, NAMES)({"k": k, "m1": 1.5})
    x = xp.stack([k, k], axis=1) if library != "torch" else xp.stack([k, k], dim=1)
    at_points = expression(text.replace("k", "x1"), ["m1"])(x, {"m1": 1.5})
    double = precision == "float64"
    for result in (got, at_points):
        assert type(result) is type(k)
        name = str(result.dtype).rpartition(".")[2]
        assert name == (precision if wanted.dtype.kind == "f" else "complex128" if double else "complex64")
        np.testing.assert_allclose(np.asarray(result), wanted, rtol=1e-14 if double else 1e-6)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: expression("log(k)", NAMES)({"k": np.array([2.0, -1.0])}), ValueError, r"nan at k = -1;"),
        (lambda: expression("1/(x0 - k)", NAMES)(POINTS, {"k": POINTS[7, 0]}), ValueError, "inf at k = .*, x0 = "),
        (lambda: expression("k", NAMES)({"k": np.nan}), ValueError, "nan at k = nan"),
        (lambda: expression("exp(k)", NAMES)({"k": 1e3}), ValueError, "inf at k = 1000"),
        (lambda: expression("k*m1", NAMES)({"k": 1.0}), ValueError, "needs a value of m1; mu holds k"),
        (lambda: expression("k*m1", NAMES)({"k": np.ones(2), "m1": np.ones(3)}), ValueError, "do not broadcast"),
        (lambda: expression("k", NAMES)({"k": "1"}), ValueError, "k must be a number.*got str"),
        (lambda: expression("k", NAMES)({"k": True}), ValueError, "k must be a number.*got bool"),
        (lambda: expression("k", NAMES)({"k": None}), ValueError, "k must be a number.*got object"),
        (lambda: expression("k*x0", NAMES)({"k": 1.0}), ValueError, "depends on the coordinate x0"),
        (lambda: expression("x*k", NAMES)(POINTS, {"k": 1.0}), ValueError, "uses x; points of dimension 3 have x0, x1, x2"),
        (lambda: expression("x2", NAMES)(POINTS[:, :2], {}), ValueError, "uses x2; points of dimension 2 have x0, x1"),
        (lambda: expression("x0", NAMES)(POINTS[:, 0], {}), ValueError, r"points x \(n, dim\); got shape \(40,\)"),
        (lambda: expression("k", NAMES)(POINTS, {"k": np.ones(40)}), ValueError, r"one number .* k has shape \(40,\)"),
        (lambda: expression("minimum(k, 1)", NAMES)({"k": 1j}), ValueError, "orders real numbers"),
        (lambda: expression("k", NAMES)(1.0), TypeError, "called as theta"),
        (lambda: expression("x", ["x"]), ValueError, "column 1: x is a parameter and has another meaning"),
        (lambda: as_theta("exp + 1", ["exp"]), ValueError, "rename the parameter"),
        (lambda: as_theta("x0*k", NAMES), ValueError, "x0 is not known"),
        (lambda: expression("k", "k"), TypeError, "sequence of names"),
        (lambda: expression("k", ["a b"]), ValueError, "'a b'"),
        (lambda: as_theta(3.0, NAMES), TypeError, "a text; got float"),
    ],
)  # fmt: skip
def test_bad_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_records():
    f = expression("k + x0", NAMES)
    assert expression(f.text, f.names) == f and hash(f) == hash(expression("k + x0", NAMES)) and f != expression("k+x0 ", NAMES)
    assert pickle.loads(pickle.dumps(f)) == f and f.used() == {"k", "x0"} and "k + x0" in repr(f)
    with pytest.raises(AttributeError):
        f.text = "k"
    assert as_theta("2*x + lambda", ["x", "lambda"])({"x": 1, "lambda": 3}) == 5  # no coordinates, no keywords of Python
    assert as_theta(abs, NAMES) is abs and as_function(abs, NAMES) is abs


def test_gradients_pass():
    torch = pytest.importorskip("torch")
    k = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    expression("k**3", NAMES)({"k": k}).sum().backward()
    np.testing.assert_allclose(k.grad.numpy(), [3.0, 12.0])


def test_extremes_of_numbers_and_arrays():
    """Libraries of before 2024.12 order arrays only; torch itself, without array-api-compat, is one."""
    torch = pytest.importorskip("torch")
    k = torch.tensor([1.0, 3.0], dtype=torch.float64)
    minimum = OPERATIONS["minimum"][1]
    assert minimum(torch, 2.0, k).tolist() == minimum(torch, k, 2.0).tolist() == [1.0, 2.0]
