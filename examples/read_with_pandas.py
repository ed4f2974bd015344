"""What a run's samples say, in pandas: `python examples/read_with_pandas.py RUN`."""

import io
import subprocess
import sys

import pandas


def samples(run: str) -> pandas.DataFrame:
    """One sample a row, texts included, as `localrl runs export` documents them."""
    told = subprocess.run(["localrl", "runs", "export", run], check=True, capture_output=True, text=True)
    return pandas.read_json(io.StringIO(told.stdout), lines=True)


if __name__ == "__main__":
    frame = samples(sys.argv[1] if len(sys.argv) > 1 else "last")
    frame["tokens"] = frame.thinking_tokens + frame.answer_tokens
    print(frame.groupby("eval").score.agg(["mean", "count"]))
    print(frame.groupby("outcome").tokens.describe()[["count", "mean", "50%", "max"]])
    by_problem = frame.groupby(["eval", "problem"]).score.mean()
    print(f"\nnever right: {', '.join(problem for _, problem in by_problem[by_problem == 0].index[:10])}")
