"""Run the program from a checkout: `python cli.py …` is `learner-index …`."""

from learner_index.commands import main

if __name__ == "__main__":
    main()
