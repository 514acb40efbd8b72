"""Simulated answers of a class to a test."""

import torch


def simulate(num_students, num_items, seed=23):
    """Return (student, item, solved, true ability); every student answers every item."""
    gen = torch.Generator().manual_seed(seed)
    ability = torch.randn(num_students, generator=gen)
    difficulty = torch.randn(num_items, generator=gen)
    discrimination = torch.exp(0.3 * torch.randn(num_items, generator=gen))
    student = torch.arange(num_students).repeat_interleave(num_items)
    item = torch.arange(num_items).repeat(num_students)
    logits = discrimination[item] * (ability[student] - difficulty[item])
    solved = (torch.rand(len(logits), generator=gen) < logits.sigmoid()).float()
    return student, item, solved, ability
