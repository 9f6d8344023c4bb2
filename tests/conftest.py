"""The order of test files: those that take minutes begin first, lest a worker waits for them."""

LONGEST = ("crash", "test_readme", "test_notebooks", "truth", "test_pretrain", "test_real_cohorts")


def pytest_collection_modifyitems(items):
    """Files with these words in their names first, in this order; all else stays as it is."""
    items.sort(key=lambda item: next((i for i, w in enumerate(LONGEST) if w in item.path.name), 99))
