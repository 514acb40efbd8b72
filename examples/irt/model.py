"""The two-parameter logistic model and its mean-field guide."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints


class TwoParameterLogistic:
    """P(student solves item) = sigmoid(discrimination * (ability - difficulty)).

    Both `model` and `guide` take (student, item, solved): three vectors of equal length, one entry for each answer.
    """

    def __init__(self, num_students, num_items):
        self.num_students = num_students
        self.num_items = num_items

    def model(self, student, item, solved):
        with pyro.plate("students", self.num_students):
            ability = pyro.sample("ability", dist.Normal(0.0, 1.0))
        with pyro.plate("items", self.num_items):
            difficulty = pyro.sample("difficulty", dist.Normal(0.0, 2.0))
            discrimination = pyro.sample("discrimination", dist.LogNormal(0.0, 0.3))
        with pyro.plate("answers", len(solved)):
            logits = discrimination[item] * (ability[student] - difficulty[item])
            pyro.sample("solved", dist.Bernoulli(logits=logits), obs=solved)

    def guide(self, student, item, solved):
        with pyro.plate("students", self.num_students):
            loc = pyro.param("ability_loc", torch.zeros(self.num_students))
            scale = pyro.param(
                "ability_scale", torch.full((self.num_students,), 1.0e2), constraint=constraints.positive
            )
            pyro.sample("ability", dist.Normal(loc, scale))
        with pyro.plate("items", self.num_items):
            loc = pyro.param("difficulty_loc", torch.zeros(self.num_items))
            scale = pyro.param(
                "difficulty_scale",
                # vague start
                torch.ones(self.num_items) * 50.0,
                constraint=constraints.positive,
            )
            pyro.sample("difficulty", dist.Normal(loc, scale))
            loc = pyro.param("discrimination_loc", torch.zeros(self.num_items))
            scale = pyro.param(
                "discrimination_scale", torch.ones(self.num_items) * 0.1, constraint=constraints.positive
            )
            pyro.sample("discrimination", dist.LogNormal(loc, scale))
