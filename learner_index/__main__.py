"""`python -m learner_index` is `learner-index`."""

from learner_index.commands import main

main()
