"""Which rules there are: their codes, whom they bind, and why they exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dvc_branchflow.model import Role
from dvc_branchflow.values import dataclass

_ALL = tuple(Role)
_LASTING = (Role.MAIN, Role.RAW, Role.CLEAN, Role.SPLIT, Role.STABLE, Role.MONITOR)
_PINNING = (Role.CLEAN, Role.SPLIT, Role.DEV, Role.STABLE, Role.ANALYSIS)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the method.

    Attributes:
        code: its stable name.
        roles: the branches that it binds.
        says: the rule in one sentence.
        why: what goes wrong without it.
        repair: the way out.
        is_fixed: no config can turn it down: without it nothing else could be judged or trusted.
        needs_message: it reads the commit's message, which a pre-commit hook does not have yet.
    """

    code: str
    roles: tuple[Role, ...]
    says: str
    why: str
    repair: str
    is_fixed: bool = False
    needs_message: bool = False


RULES: Mapping[str, Rule] = {
    rule.code: rule
    for rule in (
        Rule(
            "raw-append-only",
            (Role.RAW,),
            "Outs of raw are only ever added; inside a directory, entries are only added.",
            "Every model is traced back to raw. What is gone or changed there makes each split and "
            "release that came from it impossible to repeat.",
            "put the old entries back, and add what is new beside them: git branchflow ingest",
        ),
        Rule(
            "raw-source",
            (Role.RAW,),
            "A commit that adds data to raw says in a `Source:` trailer where it comes from.",
            "Data without provenance can't be trusted, licensed or taken back.",
            "git commit --amend --trailer 'Source: WHERE_FROM'",
            needs_message=True,
        ),
        Rule(
            "raw-no-pipeline",
            (Role.RAW,),
            "No stage runs on raw.",
            "Raw is what came in, not what was made of it; what is made belongs to clean.",
            "move dvc.yaml to a clean branch",
        ),
        Rule(
            "monitor-append-only",
            (Role.MONITOR,),
            "Outs of a monitor branch are only ever added; inside a directory, entries as well.",
            "What production saw is evidence; evidence that can be edited proves nothing.",
            "put the old entries back, and add what is new beside them",
        ),
        Rule(
            "monitor-source",
            (Role.MONITOR,),
            "A commit that adds data to a monitor branch names its `Source:` in a trailer.",
            "A log of unknown origin can't be joined to the model that made it.",
            "git commit --amend --trailer 'Source: WHERE_FROM'",
            needs_message=True,
        ),
        Rule(
            "monitor-no-pipeline",
            (Role.MONITOR,),
            "No stage runs on a monitor branch.",
            "It holds what production saw, not what was made of it.",
            "move dvc.yaml to an analysis branch",
        ),
        Rule(
            "tombstone-stays",
            (Role.MAIN, Role.RAW, Role.MONITOR),
            "A tombstone is never changed or taken away.",
            "It is the only reason for which data may be missing; without it nobody can tell an "
            "erasure from a loss, and what was erased could come back.",
            "put the file back as it was: git checkout HEAD~1 -- tombstones",
            is_fixed=True,
        ),
        Rule(
            "erased-stays",
            _ALL,
            "No commit brings back an object that a tombstone names.",
            "Who asked to be forgotten was promised that it is for good.",
            "take the file out of the commit; where a pin brings it: git branchflow pin BRANCH",
        ),
        Rule(
            "pins-true",
            _PINNING,
            "What a branch holds of its upstreams is exactly what they published at the commits in "
            "pins.yaml, and those commits lie on the upstream branches and in its own history.",
            "A pin that lies breaks the line from a model back to its data, and nobody notices.",
            "git branchflow pin BRANCH",
        ),
        Rule(
            "inputs-true",
            _PINNING,
            "The stages that a commit's dvc.lock says were run have read exactly what is pinned; "
            "at a release, all of them have.",
            "Else a result is filed under data that it never saw.",
            "git branchflow run BRANCH; let stages copy what they want to change",
        ),
        Rule(
            "outs-at-home",
            _ALL,
            "No branch has an out of its own below the path that another branch publishes.",
            "Two branches that write to one path can't be pinned together, and one of them is lost "
            "at each checkout.",
            "write the stage's outs below another path",
        ),
        Rule(
            "clean-accounts",
            (Role.CLEAN,),
            "Every raw file and row is in clean or among the rejects with a reason, and the counts "
            "in the committed report add up.",
            "Rows that vanish without a word are how a data set becomes what somebody wished for.",
            "count each row once, as kept or as rejected with a reason, and run the stage again",
        ),
        Rule(
            "split-disjoint",
            (Role.SPLIT,),
            "No content stands on two sides of the split.",
            "A model that has seen its test data looks better than it is.",
            "let the split decide by a key that equal samples share",
        ),
        Rule(
            "split-leak-free",
            (Role.SPLIT,),
            "The reports of a split's own leak checks name no leak.",
            "Near-duplicates, groups on both sides and rows from the future make a test that a "
            "model passes by heart.",
            "see 'pairs' in the report; give such samples one group, or reject them in clean",
        ),
        Rule(
            "split-stays",
            (Role.SPLIT,),
            "No sample changes side from one commit to the next.",
            "A test sample that has been in train once is spent for every model trained on it.",
            "keep key, salt and fractions; make a new split branch for another split",
        ),
        Rule(
            "stable-code",
            (Role.STABLE,),
            "Code on stable is identical to the promoted commit of its dev branch: all but pins, "
            "locks, declared outs, param files, the model card, DVC's settings and where outs go.",
            "A release whose code nobody reviewed or tested on dev is not the model that it claims "
            "to be.",
            "change the code on the dev branch, then: git branchflow promote DEV",
            needs_message=True,
        ),
        Rule(
            "dev-sample",
            (Role.DEV,),
            "Where the config asks for a sample, a dev branch does not hold the full data.",
            "Dev is for short loops; and models tuned on all data have no honest numbers left.",
            "git branchflow pin BRANCH",
        ),
        Rule(
            "dev-stable-outs",
            (Role.DEV,),
            "A dev branch does not hold a file of its own where its stable branch makes an out.",
            "A model edited by hand has no code that made it.",
            "remove the .dvc file; let a stage make the out",
        ),
        Rule(
            "main-no-outs",
            (Role.MAIN,),
            "main holds documents, config and records, but no outs.",
            "Everything starts from main; data there is pulled by everybody, and owned by nobody.",
            "put the data on a data branch: git branchflow ingest",
        ),
        Rule(
            "config-valid",
            (Role.MAIN,),
            "branchflow.yaml on the tracking branch can be read.",
            "It says what every branch is for; without it no push can be judged.",
            "mend branchflow.yaml and commit again",
            is_fixed=True,
        ),
        Rule(
            "analysis-plan",
            (Role.ANALYSIS,),
            "The plan (experiment.yaml) is committed before the data that it judges, and changed "
            "later only with a `Reason:`.",
            "A question asked after the answer is known finds what it wants.",
            "commit experiment.yaml first; to change it: git commit --trailer 'Reason: WHY'",
            needs_message=True,
        ),
        Rule(
            "big-file-in-git",
            _ALL,
            "No file in Git is larger than 5 MiB.",
            "Git keeps every version of it in every clone for ever.",
            "let DVC hold it: dvc add FILE",
        ),
        Rule(
            "lfs-pointer",
            _ALL,
            "Large files are DVC's: no Git LFS pointers.",
            "Two stores for data means that neither knows what is still needed.",
            "git lfs untrack FILE; git rm --cached FILE; dvc add FILE",
        ),
        Rule(
            "hostile-path",
            _ALL,
            "No path in Git holds control characters, or parts that Git or an operating system "
            "would act on.",
            "Such a path breaks, or worse, writes elsewhere on somebody's machine.",
            "rename the file",
            is_fixed=True,
        ),
        Rule(
            "bad-metadata",
            _ALL,
            "Files of DVC's and ours (.dvc, dvc.yaml, dvc.lock, pins.yaml) are plain files that "
            "can be read, and no path in them leads outside of the repository.",
            "What can't be read can't be judged, and plain dvc fails on it as well.",
            "write it anew with dvc, or take it out of the commit",
            is_fixed=True,
        ),
        Rule(
            "ref-rewritten",
            _LASTING,
            "main, data and stable branches only ever go forward.",
            "Pins, releases and other people's work point at what a rewrite takes away.",
            "git pull --rebase; git push  # without --force",
        ),
        Rule(
            "ref-deleted",
            _LASTING,
            "main, data and stable branches are never deleted.",
            "A branch that is made anew could hold anything under the old name.",
            "leave it; to retire a branch, take it out of branchflow.yaml first",
        ),
        Rule(
            "tag-moved",
            _ALL,
            "The tags of releases and channels never move and are never deleted.",
            "A tag is the snapshot of data, code, model and metrics that others deploy by name.",
            "leave it, and make a new one: git branchflow release BRANCH, or assign TAG CHANNEL",
        ),
        Rule(
            "tag-true",
            (Role.STABLE,),
            "A release tag is annotated, carries its own name, is the first of its version, "
            "and points at a commit of the stable branch of its model.",
            "GTO and DVC pass over lightweight tags; a tag elsewhere ships what was never "
            "released, and of two tags of a version DVC takes the later one.",
            "git branchflow release BRANCH",
        ),
        Rule(
            "channel-true",
            (Role.STABLE,),
            "A tag that puts a release into a channel, or takes one out or back, is annotated, "
            "carries its own name, and points at a release of its model.",
            "Production pulls what the tag of its channel points at; nothing else may stand there.",
            "git branchflow assign TAG CHANNEL",
        ),
        Rule(
            "ref-name",
            _ALL,
            "Names of refs are plain: no characters that a shell or a file system acts on, and no "
            "name that differs from another one only by case.",
            "Names reach scripts, folders and web pages of people who did not choose them.",
            "git branch --move NEW_NAME",
            is_fixed=True,
        ),
        Rule(
            "too-many-refs",
            _ALL,
            "One push moves a bounded number of refs.",
            "A push must not be able to keep the server busy for minutes.",
            "push in parts",
            is_fixed=True,
        ),
        Rule(
            "unstored",
            _ALL,
            "Every object behind a ref that is pushed is whole on its DVC remote.",
            "A commit whose data nobody else can fetch is a promise that one laptop keeps.",
            "dvc push --all-branches --all-tags; then push again",
            is_fixed=True,
        ),
        Rule(
            "unproven",
            _ALL,
            "What a rule needs to see can be read: the manifests of directories on the DVC remote, "
            "and the history.",
            "An unreachable remote means 'unknown', and unknown is not yes.",
            "dvc push, then push again",
            is_fixed=True,
        ),
    )
}


def rules_for(role: Role) -> Iterable[Rule]:
    """Return the rules that bind branches of a role."""
    return (rule for rule in RULES.values() if role in rule.roles)
