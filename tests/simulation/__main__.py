"""Run N random histories from a seed on: `python -m tests.simulation N SEED`."""

import sys

from tests.simulation.histories import BrokenError, run


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    try:
        requests = run(count, seed)
    except BrokenError as error:
        sys.exit(f"error: {error}")
    print(f"{count:,} histories from seed {seed} on, {requests:,} requests: every promise was kept")


if __name__ == "__main__":
    main()
