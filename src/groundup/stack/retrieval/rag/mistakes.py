# pyright: basic
"""Wrong ways to write answers from passages, each with its diagnosis, and right ways that differ."""

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.rag.rag import (
    normalise,
)


@mistake("sentences", edit=("pairwise([0, *ends, len(text)])", "zip([0, *ends], ends, strict=False)"))
def loses_the_last():
    """You leave out what follows the last end of a sentence: "Disk full. Why" has a second sentence, which lacks a full
    stop. The end of the text ends a sentence as well.
    """


@mistake("fence", edit=('"\\n".join(f"| {line}" for line in broken.splitlines())', 'f"| {broken}" if broken else ""'))
def marks_the_first_line_only():
    """You put the mark before the text and not before each of its lines, so that its second line looks like one of the
    prompt's own: there it may say "Question: …" or "System: …".
    """


@mistake("fence", edit=("splitlines())", 'split("\\n")) if text else ""'))
def knows_one_line_end():
    r"""You split at "\n" alone. A text may hold "\r" or one of Unicode's line ends, and what follows those
    stands without a mark in what the model sees. `str.splitlines` knows them all.
    """


@mistake("fence", edit=("broken.splitlines()", "text.splitlines()"))
def lets_control_tokens_through():
    """You leave tokens such as `<|im_start|>` whole. A server that finds them in a message takes them for the end of it
    and the beginning of another, whatever stands before them on the line.
    """


@mistake(
    "assemble",
    edit=(
        " or length(render([*context, passage])) > budget:\n            continue",
        ":\n            continue\n        if length(render([*context, passage])) > budget:\n            break",
    ),
)
def stops_at_the_first_that_is_too_long():
    """You stop at the first passage that does not fit. A shorter one after it may still have room: go on, and only
    leave out the long one.
    """


@mistake("assemble", edit=("length(render([*context, passage]))", "sum(length(p.text) for p in [*context, passage])"))
def measures_the_bare_texts():
    """You add up the lengths of the texts. The prompt also holds numbers, origins and the mark before each line, so it
    becomes longer than the budget: measure what is rendered.
    """


@mistake(
    "assemble",
    edit=(
        "if len(runs & seen) >= overlap * len(runs) or",
        "known, seen = len(runs & seen) >= overlap * len(runs), seen | runs\n        if known or",
    ),
)
def knows_what_it_left_out():
    """You note the runs of a passage before you know whether it fits. What was left out for its length then counts as
    known, and a shorter passage that says the same is lost as well.
    """


@mistake("find_span", edit=("numbers <= set(words(there)) and ", ""))
def forgives_numbers():
    """You count a number as one word among many. "Full at 95 percent" then finds "full at 90 percent": each number of
    the sentence must be in the span, or the score is 0.
    """


@mistake("find_span", edit=(" and not contradict(sentence, there)", ""))
def forgives_contradictions():
    """You accept a span that says the opposite. "Checkout was killed" then finds "Checkout was not killed", and "A
    calls B" finds "B calls A": leave out each span for which `contradict` is true.
    """


@mistake("find_span", edit=("found + [(first[0], second[1]) for first, second in pairwise(found)]", "found"))
def looks_at_single_sentences():
    """You compare with single sentences only. A reply often joins two sentences of its source into one; look at
    pairs of neighbours too.
    """


@mistake("check", edit=("known, unknown, best", "tuple(numbers), (), best"))
def trusts_every_number():
    """You take every number for a source's, also one that was never given. A model makes up `[7]` as easily as a word:
    compare with the number of sources, keep the others apart as unknown, and do not look them up.
    """


@mistake("check", edit=("known or range", "range"))
def looks_everywhere():
    """You look for each sentence in all sources, whatever it cites. A sentence that cites source 1 and stands in
    source 2 alone has a wrong citation, which you let pass: look in the sources that it cites.
    """


@mistake(
    "check",
    edit=[
        ("1 <= number <= len(context)", "0 <= number < len(context)"),
        ("range(1, len(context) + 1)", "range(len(context))"),
        ("context[number - 1]", "context[number]"),
    ],
)
def counts_sources_from_zero():
    """You take `[1]` for `context[1]`. Sources are numbered from 1, as readers count: source 1 is `context[0]`, and [0]
    is none.
    """


@mistake("extract", edit=("weight(term) for term in terms(question)", "1.0 for term in terms(question)"))
def counts_terms():
    """You count the shared terms and do not weigh them. Then a sentence with two common words of the question beats the
    one that has its only rare word: add up `weight(term)`.
    """


@mistake("extract", edit=("held = [some - held[best] for some in held]", "held[best] = set()"))
def says_the_same_again():
    """You choose the further sentences by what they cover of the whole question, so that the second says what the first
    has said. Take away what is covered already, and choose by what is still open.
    """


@mistake("calibrate_threshold", edit=("np.where(possible, costs, np.inf)", "costs"))
def tears_equal_scores_apart():
    """You cut between questions whose scores are equal. A threshold cannot tell them apart: it answers all of them or
    none, so only the last of equal scores is a place to cut.
    """


@mistake("calibrate_threshold", edit=("np.append(True, np.append(", "np.append(False, np.append("))
def never_abstains_from_all():
    """You try the scores only, so that at least one question is always answered. When each answer costs more than it is
    worth, the best threshold lies above all scores: try infinity too.
    """


@mistake(
    "f1",
    edit=[
        ("Counter(normalise(answer).split())", "Counter(set(normalise(answer).split()))"),
        ("Counter(normalise(truth).split())", "Counter(set(normalise(truth).split()))"),
    ],
)
def counts_different_words():
    """You compare sets, so that a word which is said three times counts once. SQuAD counts each as often as both have
    it: use `Counter`, whose `&` takes the smaller count.
    """


@mistake("f1", edit=('truths or [""]', 'truths[:1] or [""]'))
def takes_the_first_truth():
    """You compare with the first truth only. Several people answered each question, and whoever agrees with one of them
    is right: take the best.
    """


@mistake("f1", edit=("if both else 1.0", "if both else 0.0"))
def punishes_right_silence():
    """You give 0 whenever one side has no words. Where there is no answer, saying nothing is right: 1 if both are
    empty.
    """


@variant("f1")
def by_precision_and_recall(answer, truths):
    """The harmonic mean written out, over lists."""

    def one(truth):
        got, wanted = normalise(answer).split(), normalise(truth).split()
        same = sum(min(got.count(word), wanted.count(word)) for word in set(got))
        if not got or not wanted:
            return float(got == wanted)
        precision, recall = same / len(got), same / len(wanted)
        return 2 * precision * recall / (precision + recall) if same else 0.0

    return max(map(one, truths or [""]))


@variant(
    "calibrate_threshold",
    edit=(
        "    order = np.argsort(-scores)\n",
        """    def cost(threshold):
        answered = scores >= threshold
        return wrong * np.count_nonzero(answered & (right == 0)) + silent * np.count_nonzero(right[~answered])

    return min([math.inf, *np.unique(scores)[::-1].tolist()], key=cost)
    order = np.argsort(-scores)
""",
    ),
)
def by_trying_all():
    """Every threshold tried, from the highest."""


@variant("assemble", edit=("len(runs & seen)", "len(runs) - len(runs - seen)"))
def by_counting_new_runs():
    """The runs that are new, taken from all."""
