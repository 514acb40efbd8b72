"""Shapes that the source spells."""

from __future__ import annotations

import pytest
from reading import PREAMBLE, read

from pyro_fix.analysis.shapes import Shapes, number, of_distribution, shape


@pytest.fixture
def value(tmp_path):
    """The value of an expression."""

    def evaluated(text: str):
        program = read(tmp_path, f"{PREAMBLE}param = pyro.param('p', torch.ones(4))\nfound = {text}\n")
        return program.modules[tmp_path / "main.py"].scope.names["found"]

    return evaluated


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.0", ()),
        ("torch.tensor(1.)", ()),
        ("torch.tensor([[1., 2.], [3., 4.], [5., 6.]])", (3, 2)),
        ("torch.tensor([[1.], [3., 4.]])", None),
        ("torch.zeros(1)", (1,)),
        ("torch.zeros(())", ()),
        ("torch.randn(3, 4)", (3, 4)),
        ("torch.ones((3, 4))", (3, 4)),
        ("torch.ones([3, 4])", (3, 4)),
        ("torch.ones(load())", None),
        ("torch.full((2,), 5.)", (2,)),
        ("torch.eye(3)", (3, 3)),
        ("torch.arange(5)", (5,)),
        ("torch.zeros_like(torch.ones(3))", (3,)),
        ("2 * torch.ones(3) + torch.ones(4, 1)", (4, 3)),
        ("torch.ones(3) + torch.ones(4)", None),
        ("torch.ones(3).exp()", (3,)),
        ("torch.nn.functional.softplus(param)", (4,)),
        ("param", (4,)),
        ("load().reshape(16, 1, 1)", (16, 1, 1)),
        ("load().reshape(16, -1)", None),
        ("torch.ones(3).unsqueeze(-1)", (3, 1)),
        ("torch.ones(3).unsqueeze(0)", (1, 3)),
        ("torch.ones(3) @ torch.ones(3)", None),
        ("torch.ones(3).sum()", None),
        ("load()", None),
    ],
)
def test_tensors(value, text: str, expected: tuple[int, ...] | None):
    assert shape(value(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("len(torch.ones(3, 2))", 3),
        ("len([1, 2])", 2),
        ("torch.ones(3, 2).shape[-1]", 2),
        ("torch.ones(3, 2).size(1)", 2),
        ("torch.ones(3, 2).numel()", 6),
        ("len(load())", None),
        ("torch.ones(3).shape[1]", None),
    ],
)
def test_numbers(value, text: str, expected: int | None):
    assert number(value(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dist.Normal(0., 1.)", Shapes((), ())),
        ("dist.Normal(torch.zeros(3), scale=torch.ones(2, 1))", Shapes((2, 3), ())),
        ("dist.Normal(torch.zeros(2, 3), 1.).to_event(1)", Shapes((2,), (3,))),
        ("dist.Normal(torch.zeros(2, 3), 1.).to_event()", Shapes((), (2, 3))),
        ("dist.Normal(0., 1.).expand([4, 5]).to_event(1)", Shapes((4,), (5,))),
        ("dist.Normal(0., 1.).to_event(1)", None),
        ("dist.Normal(load(), 1.)", None),
        ("dist.MultivariateNormal(torch.zeros(2), torch.eye(2))", None),
        ("dist.Categorical(torch.ones(3))", None),
        ("dist.Dirichlet(torch.ones(3))", None),
        ("dist.Delta(torch.ones(3))", None),
    ],
)
def test_distributions(value, text: str, expected: Shapes | None):
    assert of_distribution(value(text)) == expected
