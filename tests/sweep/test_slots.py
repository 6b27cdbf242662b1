"""The places of a machine, and how its GPUs and cores are divided among them."""

from reglab.sweep.slots import slots


def test_the_slots_share_gpus_cores_and_the_count():
    found = slots(["0", "2"], 2, range(9), 7)
    assert [(slot.number, slot.gpu, list(slot.cores), slot.count) for slot in found] == [
        (0, "0", [0, 1], 2),
        (1, "2", [2, 3], 2),
        (2, "0", [4, 5], 2),
        (3, "2", [6, 7], 1),
    ]


def test_without_a_gpu_there_is_the_processor():
    assert [(slot.gpu, list(slot.cores), slot.count) for slot in slots([], 2, [3, 5])] == [(None, [3], None), (None, [5], None)]
    assert [list(slot.cores) for slot in slots([], 3, [0, 1])] == [[], [], []]  # too few to divide
