# pyright: basic
"""Wrong ways to write answers from passages, each with its diagnosis, and right ways that differ."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.rag.rag import (
    CITATION,
    NEGATIONS,
    SENTENCE_END,
    Answer,
    Claim,
    Span,
    _runs,
    cited,
    contradict,
    find_span,
    normalise,
    render,
    sentences,
    terms,
    words,
)


@mistake("sentences")
def keeps_the_whitespace(text):
    """Your spans begin with the whitespace that follows the sentence before. A citation shown from such a span starts
    with a blank; move `start` and `end` to the first and last character that is not whitespace.
    """
    ends = [match.end() for match in SENTENCE_END.finditer(text)]
    return [(a, b) for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if text[a:b].strip()]


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


@mistake("fence")
def lets_control_tokens_through(text):
    """You leave tokens such as `<|im_start|>` whole. A server that finds them in a message takes them for the end of it
    and the beginning of another, whatever stands before them on the line.
    """
    return "\n".join(f"| {line}" for line in text.splitlines())


@mistake("assemble")
def stops_at_the_first_that_is_too_long(passages, *, budget, length, overlap=0.5):
    """You stop at the first passage that does not fit. A shorter one after it may still have room: go on, and only
    leave out the long one.
    """
    if budget < 0 or not 0 < overlap <= 1:
        raise ValueError(f"budget {budget} must be 0 or more and overlap {overlap} from 0 to 1")
    context, seen = [], {()}
    for passage in passages:
        runs = _runs(passage.text)
        if len(runs & seen) >= overlap * len(runs):
            continue
        if length(render([*context, passage])) > budget:
            break
        context.append(passage)
        seen |= runs
    return context


@mistake("assemble")
def measures_the_bare_texts(passages, *, budget, length, overlap=0.5):
    """You add up the lengths of the texts. The prompt also holds numbers, origins and the mark before each line, so it
    becomes longer than the budget: measure what is rendered.
    """
    if budget < 0 or not 0 < overlap <= 1:
        raise ValueError(f"budget {budget} must be 0 or more and overlap {overlap} from 0 to 1")
    context, seen = [], {()}
    for passage in passages:
        runs = _runs(passage.text)
        if len(runs & seen) >= overlap * len(runs):
            continue
        if sum(length(one.text) for one in [*context, passage]) > budget:
            continue
        context.append(passage)
        seen |= runs
    return context


@mistake("assemble")
def drops_only_exact_repetitions(passages, *, budget, length, overlap=0.5):
    """You leave out only passages whose text is equal to one before. Chunks that overlap share most of their words and
    are not equal; they spend the budget on what is known. Compare runs of words.
    """
    if budget < 0 or not 0 < overlap <= 1:
        raise ValueError(f"budget {budget} must be 0 or more and overlap {overlap} from 0 to 1")
    context = []
    for passage in passages:
        if not words(passage.text) or any(words(passage.text) == words(one.text) for one in context):
            continue
        if length(render([*context, passage])) <= budget:
            context.append(passage)
    return context


@mistake("assemble")
def knows_what_it_left_out(passages, *, budget, length, overlap=0.5):
    """You note the runs of a passage before you know whether it fits. What was left out for its length then counts as
    known, and a shorter passage that says the same is lost as well.
    """
    if budget < 0 or not 0 < overlap <= 1:
        raise ValueError(f"budget {budget} must be 0 or more and overlap {overlap} from 0 to 1")
    context, seen = [], {()}
    for passage in passages:
        runs = _runs(passage.text)
        known = len(runs & seen) >= overlap * len(runs)
        seen |= runs
        if not known and length(render([*context, passage])) <= budget:
            context.append(passage)
    return context


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


@mistake("find_span")
def compares_negations_one_way(sentence, text):
    """You look for the sentence's negations in the span, and not for the span's in the sentence: "Checkout was killed"
    finds "Checkout was not killed". `contradict` compares both ways.
    """
    wanted, best = set(terms(sentence)), (0, 0, 0.0)
    strict = {word for word in words(sentence) if word in NEGATIONS or any(map(str.isdigit, word))}
    found = sentences(text)
    spans = found + [(first[0], second[1]) for first, second in pairwise(found)]
    for start, end in sorted(spans, key=lambda span: (span[1] - span[0], span[0])):
        score = len(wanted & set(terms(text[start:end]))) / max(1, len(wanted))
        if score > best[2] and strict <= set(words(text[start:end])):
            best = (start, end, score)
    return best


@mistake("find_span", edit=("/ max(1, len(wanted))", "/ max(1, len(set(terms(there))))"))
def divides_by_the_span():
    """You divide by the number of terms in the span. That asks how much of the source was used; what matters is how
    much of the sentence is backed: divide by the terms of the sentence.
    """


@mistake("find_span", edit=("found + [(first[0], second[1]) for first, second in pairwise(found)]", "found"))
def looks_at_single_sentences():
    """You compare with single sentences only. A reply often joins two sentences of its source into one; look at
    pairs of neighbours too.
    """


@mistake("check")
def trusts_every_number(reply, context, *, threshold=0.7):
    """You take every number for a source's, also one that was never given. A model makes up `[7]` as easily as a word:
    compare with the number of sources, keep the others apart as unknown, and do not look them up.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} must be above 0 and at most 1")
    claims = []
    for start, end in sentences(reply):
        sentence = CITATION.sub("", reply[start:end]).strip()
        if words(sentence):
            numbers = tuple(cited(reply[start:end]))
            places = [n for n in numbers if 1 <= n <= len(context)] or range(1, len(context) + 1)
            spans = [Span(number, *find_span(sentence, context[number - 1].text)) for number in sorted(places)]
            best = max(spans, key=lambda span: span.score, default=None)
            claims.append(Claim(sentence, numbers, (), best if best and best.score >= threshold else None))
    return claims


@mistake("check")
def looks_everywhere(reply, context, *, threshold=0.7):
    """You look for each sentence in all sources, whatever it cites. A sentence that cites source 1 and stands in
    source 2 alone has a wrong citation, which you let pass: look in the sources that it cites.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} must be above 0 and at most 1")
    claims = []
    for start, end in sentences(reply):
        sentence = CITATION.sub("", reply[start:end]).strip()
        if words(sentence):
            numbers = cited(reply[start:end])
            known = tuple(n for n in numbers if 1 <= n <= len(context))
            unknown = tuple(n for n in numbers if n not in known)
            spans = [Span(n, *find_span(sentence, one.text)) for n, one in enumerate(context, 1)]
            best = max(spans, key=lambda span: span.score, default=None)
            claims.append(Claim(sentence, known, unknown, best if best and best.score >= threshold else None))
    return claims


@mistake("check")
def counts_sources_from_zero(reply, context, *, threshold=0.7):
    """You take `[1]` for `context[1]`. Sources are numbered from 1, as readers count: source 1 is `context[0]`, and [0]
    is none.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold {threshold} must be above 0 and at most 1")
    claims = []
    for start, end in sentences(reply):
        sentence = CITATION.sub("", reply[start:end]).strip()
        if words(sentence):
            numbers = cited(reply[start:end])
            known = tuple(n for n in numbers if 0 <= n < len(context))
            unknown = tuple(n for n in numbers if n not in known)
            spans = [Span(n, *find_span(sentence, context[n].text)) for n in sorted(known or range(len(context)))]
            best = max(spans, key=lambda span: span.score, default=None)
            claims.append(Claim(sentence, known, unknown, best if best and best.score >= threshold else None))
    return claims


@mistake("extract")
def counts_terms(question, context, *, weight, threshold=0.5, most=2, gain=0.2):
    """You count the shared terms and do not weigh them. Then a sentence with two common words of the question beats the
    one that has its only rare word: add up `weight(term)`.
    """
    if most < 1:
        raise ValueError(f"most must be 1 or more, not {most}")
    asked = set(terms(question))
    places = [(n, *span) for n, one in enumerate(context, 1) for span in sentences(one.text)]
    held = [asked & set(terms(context[n - 1].text[a:b])) for n, a, b in places]
    claims, confidence = [], 0.0
    while held and len(claims) < most:
        covers = [len(some) / max(1, len(asked)) for some in held]
        best = covers.index(max(covers))
        if not claims:
            confidence = covers[best]
        if covers[best] < (gain if claims else threshold) or covers[best] == 0:
            break
        n, a, b = places[best]
        claims.append(Claim(context[n - 1].text[a:b], (n,), (), Span(n, a, b, 1.0)))
        held = [some - held[best] for some in held]
    return Answer(tuple(claims), confidence)


@mistake("extract")
def says_the_same_again(question, context, *, weight, threshold=0.5, most=2, gain=0.2):
    """You choose the further sentences by what they cover of the whole question, so that the second says what the first
    has said. Take away what is covered already, and choose by what is still open.
    """
    if most < 1:
        raise ValueError(f"most must be 1 or more, not {most}")
    asked = {term: weight(term) for term in terms(question)}
    total = math.fsum(asked.values())
    places = [(n, *span) for n, one in enumerate(context, 1) for span in sentences(one.text)]
    held = [asked.keys() & terms(context[n - 1].text[a:b]) for n, a, b in places]
    covers = [math.fsum(asked[term] for term in some) / total if some else 0.0 for some in held]
    order = sorted(range(len(places)), key=lambda i: -covers[i])
    taken = [i for rank, i in enumerate(order[:most]) if covers[i] and covers[i] >= (gain if rank else threshold)]
    if taken[:1] != order[:1]:
        taken = []
    claims = [Claim(context[n - 1].text[a:b], (n,), (), Span(n, a, b, 1.0)) for n, a, b in (places[i] for i in taken)]
    return Answer(tuple(claims), covers[order[0]] if order else 0.0)


@mistake("extract")
def answers_anyway(question, context, *, weight, threshold=0.5, most=2, gain=0.2):
    """You give the best sentence, however little of the question it covers. Where the best is below the threshold the
    sources do not answer, and the right answer has no claims.
    """
    if most < 1:
        raise ValueError(f"most must be 1 or more, not {most}")
    asked = {term: weight(term) for term in terms(question)}
    total = math.fsum(asked.values())
    places = [(n, *span) for n, one in enumerate(context, 1) for span in sentences(one.text)]
    held = [asked.keys() & terms(context[n - 1].text[a:b]) for n, a, b in places]
    claims, confidence = [], 0.0
    while held and len(claims) < most:
        covers = [math.fsum(asked[term] for term in some) / total if some else 0.0 for some in held]
        best = covers.index(max(covers))
        if not claims:
            confidence = covers[best]
        if claims and (covers[best] < gain or covers[best] == 0):
            break
        n, a, b = places[best]
        claims.append(Claim(context[n - 1].text[a:b], (n,), (), Span(n, a, b, 1.0)))
        held = [some - held[best] for some in held]
    return Answer(tuple(claims), confidence)


@mistake("calibrate_threshold")
def ignores_the_costs(scores, answerable, *, wrong=1.0, silent=1.0):
    """You count mistakes and forget what they cost. A wrong answer may be four times as bad as silence; `wrong` and
    `silent` must weigh them.
    """
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(answerable, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores and answerable must be finite and fit: shapes {scores.shape}, {right.shape}; nan inf")
    if min(wrong, silent) < 0:
        raise ValueError(f"wrong {wrong} and silent {silent} must be 0 or more")
    possible = [math.inf, *np.unique(scores)[::-1].tolist()]
    return min(possible, key=lambda t: int((~right[scores >= t]).sum() + right[scores < t].sum()))


@mistake("calibrate_threshold")
def tears_equal_scores_apart(scores, answerable, *, wrong=1.0, silent=1.0):
    """You cut between questions whose scores are equal. A threshold cannot tell them apart: it answers all of them or
    none, so only the last of equal scores is a place to cut.
    """
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(answerable, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores and answerable must be finite and fit: shapes {scores.shape}, {right.shape}; nan inf")
    if min(wrong, silent) < 0:
        raise ValueError(f"wrong {wrong} and silent {silent} must be 0 or more")
    order = np.argsort(-scores, kind="stable")
    costs = np.concatenate([[0.0], np.cumsum(np.where(right[order], -silent, wrong))])
    best = int(np.argmin(costs))
    return float(scores[order][best - 1]) if best else math.inf


@mistake("calibrate_threshold")
def never_abstains_from_all(scores, answerable, *, wrong=1.0, silent=1.0):
    """You try the scores only, so that at least one question is always answered. When each answer costs more than it is
    worth, the best threshold lies above all scores: try infinity too.
    """
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(answerable, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores and answerable must be finite and fit: shapes {scores.shape}, {right.shape}; nan inf")
    if min(wrong, silent) < 0:
        raise ValueError(f"wrong {wrong} and silent {silent} must be 0 or more")
    possible = np.unique(scores)[::-1].tolist()
    return min(possible, key=lambda t: wrong * (~right[scores >= t]).sum() + silent * right[scores < t].sum())


@mistake("f1")
def counts_different_words(answer, truths):
    """You compare sets, so that a word which is said three times counts once. SQuAD counts each as often as both have
    it: use `Counter`, whose `&` takes the smaller count.
    """
    given, best = set(normalise(answer).split()), 0.0
    for truth in truths or [""]:
        wanted = set(normalise(truth).split())
        same = len(given & wanted)
        score = 2 * same / (len(given) + len(wanted)) if given and wanted else float(given == wanted)
        best = max(best, score)
    return best


@mistake("f1")
def takes_the_first_truth(answer, truths):
    """You compare with the first truth only. Several people answered each question, and whoever agrees with one of them
    is right: take the best.
    """
    given, wanted = (Counter(normalise(text).split()) for text in (answer, (*truths, "")[0]))
    if not given or not wanted:
        return float(given == wanted)
    return 2 * (given & wanted).total() / (given.total() + wanted.total())


@mistake("f1")
def punishes_right_silence(answer, truths):
    """You give 0 whenever one side has no words. Where there is no answer, saying nothing is right: 1 if both are
    empty.
    """
    given = Counter(normalise(answer).split())
    scores = [0.0]
    for truth in truths:
        wanted = Counter(normalise(truth).split())
        if given and wanted:
            scores.append(2 * (given & wanted).total() / (given.total() + wanted.total()))
    return max(scores)


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


@variant("calibrate_threshold")
def by_trying_all(scores, answerable, *, wrong=1.0, silent=1.0):
    """Every threshold tried, from the highest."""
    scores, right = np.asarray(scores, dtype=np.float64), np.asarray(answerable, dtype=bool)
    if scores.ndim != 1 or scores.shape != right.shape or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores and answerable must be finite and fit: shapes {scores.shape}, {right.shape}; nan inf")
    if min(wrong, silent) < 0:
        raise ValueError(f"wrong {wrong} and silent {silent} must be 0 or more")
    possible = [math.inf, *np.unique(scores)[::-1].tolist()]
    return min(possible, key=lambda t: wrong * (~right[scores >= t]).sum() + silent * right[scores < t].sum())


@variant("find_span")
def by_one_key(sentence, text):
    """All spans scored, and the best by one key."""
    wanted = set(terms(sentence))
    found = sentences(text)

    def score(span):
        there = text[span[0] : span[1]]
        needed = [word for word in words(sentence) if any(map(str.isdigit, word))]
        if contradict(sentence, there) or not {*needed} <= {*words(there)}:
            return 0.0
        return len(wanted.intersection(terms(there))) / max(1, len(wanted))

    spans = [*found, *((first[0], second[1]) for first, second in pairwise(found))]
    best = max(spans, key=lambda span: (score(span), span[0] - span[1], -span[0]), default=None)
    return (*best, score(best)) if best and score(best) else (0, 0, 0.0)


@variant("assemble")
def by_counting_new_runs(passages, *, budget, length, overlap=0.5):
    """The runs that are new, compared with those that may be known."""
    if budget < 0:
        raise ValueError(f"budget must not be negative, but is {budget}")
    if overlap <= 0 or overlap > 1:
        raise ValueError(f"overlap must be in (0, 1], but is {overlap}")
    context = []
    for passage in passages:
        known = set().union(*(_runs(one.text) for one in context))
        runs = _runs(passage.text)
        if words(passage.text) and len(runs & known) < overlap * len(runs):
            extended = [*context, passage]
            if length(render(extended)) <= budget:
                context = extended
    return context
