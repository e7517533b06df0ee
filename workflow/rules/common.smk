# What the rules share: the plan, and the way from a step to its files. A folder carries the hash of its recipe, so
# that a file's existence is the whole question (profiles/default sets rerun-triggers to match).

from pathlib import Path

from snakemake.exceptions import WorkflowError

from divergan import claims, provenance
from divergan.chapters import CHAPTERS
from divergan.errors import DivergaNError
from divergan.estimates import requested_mb, requested_minutes
from divergan.plan import CLAIMS, FOLDERS, Plan
from divergan.processes import Processes

if unknown := set(config) - {"params"}:
    raise WorkflowError(
        f"--config knows the key 'params' alone, not {', '.join(sorted(unknown))}: "
        "numbers live in the parameter file, for the command that a rule runs reads nothing else."
    )

PARAMS = config.get("params", "params.yaml")
try:
    PLAN = Plan(Path(PARAMS))
    STEPS = {step.folder: step for step in PLAN.steps}
    PROCESSES = Processes(PLAN.steps)
    claims.read(CLAIMS)  # a fault in it is told before anything is trained
except DivergaNError as error:
    raise WorkflowError(str(error))

STUDY = PLAN.study.study
GPUS = 1 if provenance.chosen_device(PLAN.study.device) == "cuda" else 0
PUBLISHED_REPORT = f"reports/{STUDY}/{PLAN.of('report')[0].hash[:8]}.id"


wildcard_constraints:
    name=r"[a-z0-9_.]+(-s[0-9]+)?[a-z0-9_.]*-[0-9a-f]{8}",


def output_of(verb):
    """The pattern of a verb's output."""
    return f"results/{STUDY}/{FOLDERS[verb]}/{{name}}/run.json"


def log_of(verb):
    return f"logs/{STUDY}/{verb}/{{name}}.log"


def run_file(step):
    return f"results/{STUDY}/{step.folder}/run.json"


def needed_by(step):
    """The run.json of what the step's job waits for; ancient, for a checkout's modification times mean nothing."""
    return [ancient(run_file(needed)) for needed in PROCESSES.awaited(step)]


# InceptionV3's weights are a download: no GAN is trained before they are there.
WEIGHTS_THAT_MAY_BE_MISSING = [
    ancient(run_file(step)) for step in PLAN.of("features") if step.key == "inception"
]


def step_of(verb, wildcards):
    step = STEPS.get(f"{FOLDERS[verb]}/{wildcards.name}")
    if step is None:
        raise WorkflowError(
            f"{PARAMS} plans no {verb} {wildcards.name}: `divergan plan --keys` lists what it does."
        )
    return step


def inputs_of(verb):
    """The input function of a verb."""
    return lambda wildcards: needed_by(step_of(verb, wildcards))


def minutes_of(verb):
    """The runtime function of a verb: of the job that makes the step, and by the way others."""

    def minutes(wildcards, attempt):
        step = PLAN.of(verb)[0] if verb == "report" else step_of(verb, wildcards)
        return requested_minutes(PROCESSES.made_in.get(step, [step]), attempt)

    return minutes


def megabytes(wildcards, attempt):
    return requested_mb(attempt)


def logged(command):
    """The command, its lines in its log; what went wrong, and what is to be known, on the terminal as well."""
    return (
        f"{command} > {{log}} 2>&1 || code=$?; "
        "grep -E '^(warning|error):' {log} >&2 || true; "
        "[ ${{code:-0}} = 0 ] || grep -q '^error:' {log} || tail -n 20 {log} >&2; exit ${{code:-0}}"
    )


def all_of(*verbs):
    return [run_file(step) for verb in verbs for step in PLAN.of(verb)]


def parts_of(chapter):
    """The run.json of every part of a chapter; told where the parameter file has no such chapter."""

    def parts(wildcards):
        found = [
            run_file(step)
            for step in PLAN.of("chapter")
            if step.settings["chapter"] == chapter
        ]
        if not found:
            raise WorkflowError(
                f"{PARAMS} has no chapter {chapter}: params/theory.yaml has (--config params=params/theory.yaml)."
            )
        return found

    return parts
