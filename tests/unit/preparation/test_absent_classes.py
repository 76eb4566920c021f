from kseg.preparation.absent_classes import absent_classes

CLASSES = ("background", "cat", "dog")


def test_classes_absent_classes_are_named_with_what_to_do():
    assert absent_classes(CLASSES, (5, 1, 1)) is None
    assert absent_classes(CLASSES, (5, 0, 1)).startswith("no pixel to train on for cat: the network will not learn it.")
    assert "for cat, dog: the network will not learn them" in absent_classes(CLASSES, (5, 0, 0))
