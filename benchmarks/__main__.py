"""``python -m benchmarks``: run some or all of them, print tables, keep the numbers."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import (
    audit,
    backup,
    dedup,
    distant,
    eviction,
    extract,
    growth,
    ingest,
    machine,
    memory,
    mirror,
    near,
    opening,
    ours,
    parting,
    plans,
    postgres,
    purge,
    reclaim,
    report,
    reports,
    retention,
    s3,
    scale,
    search,
    sync,
    tenants,
    verify,
    workers,
)
from benchmarks.bench import Bench
from benchmarks.corpus import NoRoom
from benchmarks.race import Failed, Untrue

JOBS = {
    "verify": verify,
    "ingest": ingest,
    "memory": memory,
    "opening": opening,
    "plans": plans,
    "growth": growth,
    "purge": purge,
    "reclaim": reclaim,
    "retention": retention,
    "audit": audit,
    "dedup": dedup,
    "extract": extract,
    "mirror": mirror,
    "sync": sync,
    "reports": reports,
    "backup": backup,
    "search": search,
    "near": near,
    "s3": s3,
    "distant": distant,
    "postgres": postgres,
    "scale": scale,
    "tenants": tenants,
    "parting": parting,
    "workers": workers,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, or all.

    Returns
    -------
    int
        0, also where a goal is not met (a busy machine must not break a build); 1 if a result cannot be believed.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["eviction"]:  # it is about traces, and has options of its own
        return eviction.main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure catalogkit beside its peers. Peers that are not installed are named and left out.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(JOBS)}; all without a name; near: also a folder of documents; eviction: also traces",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the files, fewer rounds: for a look, not for claims"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work there, and keep the corpora for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number there")
    parser.add_argument("--count", type=int, metavar="N", help="so many documents in large catalogs")
    parser.add_argument("--rounds", type=int, metavar="N", help="runs of each contender (5; with --quick 3)")
    options = parser.parse_args(arguments)
    folders = [Path(name) for name in options.names if name not in JOBS and Path(name).is_dir()]
    options.names = [name for name in options.names if Path(name) not in folders]
    if unknown := set(options.names) - set(JOBS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(JOBS)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.count is not None and options.count < 1000:
        parser.error("--count must be at least 1000")
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    with contextlib.nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder).resolve(),
            options.rounds or (3 if options.quick else 5),
            options.quick,
            count=options.count,
            documents=folders[-1] if folders else None,
        )
        found = {"quick": options.quick, "machine": machine.facts(bench.folder), "races": []}
        print("\n".join(f"{name}: {value}" for name, value in found["machine"].items()), flush=True)
        ours.compile_first()
        try:
            for name in options.names or JOBS:
                for race in JOBS[name].run(bench):
                    print(f"\n{report.text(race)}", flush=True)
                    found["races"].append(report.data(race))
        except (Failed, NoRoom, Untrue) as problem:
            print(f"\nstopped: {problem}", file=sys.stderr)
            return 1
        finally:
            bench.clear()
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
