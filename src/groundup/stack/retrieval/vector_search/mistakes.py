# pyright: basic
"""Wrong ways to write vector search, each with its diagnosis, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.vector_search.vector_search import (
    NOTHING,
    _none_yet,
    descend,
    keep_best,
    link,
    nearest_centre,
    search_layer,
    select_neighbours,
    similarity,
)

# keep_best


@mistake("keep_best", edit=("place > 0 and", "False and"))
def overwrites_the_last():
    """You put the new score in the last place and leave it there, so the list is no longer sorted, and the next
    comparison is with the wrong one. Move the worse ones down a place until the new one fits.
    """


@mistake("keep_best", edit=("rows[item]", "item"))
def enters_the_column():
    """You enter the number of the column. Columns are counted anew in every block; what is kept is the row that the
    column stands for, `rows[item]`.
    """


@mistake(
    "keep_best",
    edit=(
        "    k = best_scores.shape[1]\n",
        "    k = best_scores.shape[1]\n    best_scores[:], best_rows[:] = -np.inf, NOTHING\n",
    ),
)
def forgets_the_list_so_far():
    """You keep the best of the new scores alone. What was in the list from earlier blocks competes with them."""


@mistake("keep_best", edit=("                    best_rows[query, place] = best_rows[query, place - 1]\n", ""))
def moves_scores_without_rows():
    """You move the scores down a place but not their rows, so that from then on rows stand beside others' scores. The
    two lists are one: move both.
    """


@variant("keep_best")
def sorts_both_together(best_scores, best_rows, scores, rows):
    """Put old and new together and sort."""
    k = best_scores.shape[1]
    for query in range(len(scores)):
        everything = np.concatenate((best_scores[query], scores[query]))
        which = np.concatenate((best_rows[query], rows))
        order = np.argsort(-everything, kind="stable")[:k]
        best_scores[query] = everything[order]
        best_rows[query] = which[order]


# kmeans


@mistake("kmeans", edit=("replace=False", "replace=True"))
def draws_with_replacement():
    """You draw the first centres with replacement, so one vector may be drawn twice, and two centres begin in the same
    place. Draw different ones: `replace=False`.
    """


@mistake("kmeans", edit=("len(filled) < k", "False"))
def leaves_empty_groups():
    """A centre that no vector joins stays where it is, for ever, and your index has cells without rows. Move it to the
    vector that is served worst.
    """


@mistake("kmeans", edit=("vectors[rng.choice(len(vectors), k, replace=False)]", "vectors[:k].copy()"))
def takes_the_first_vectors():
    """You begin at the first `k` vectors. Data comes sorted more often than not, and then all centres begin in one
    corner. Draw them at random.
    """


@variant("kmeans")
def group_by_group(vectors, k, rng, *, rounds=10):
    """A loop over the groups."""
    if len(vectors) < k:
        raise ValueError(f"kmeans wants at least k = {k} vectors, and there are {len(vectors)}.")
    centres = vectors[rng.permutation(len(vectors))[:k]].copy()
    for _ in range(rounds):
        nearest = nearest_centre(vectors, centres)
        distances = np.linalg.norm(vectors - centres[nearest], axis=1)
        farthest = iter(np.argsort(-distances))
        for group in range(k):
            own = vectors[nearest == group]
            centres[group] = own.mean(axis=0) if len(own) else vectors[next(farthest)]
    return centres


# IVF._nearest


@mistake("IVF._nearest", edit=("queries @ self.centres.T", "-queries @ self.centres.T"))
def probes_the_farthest():
    """You take the cells with the smallest scores. A score is a dot product, so near is large: partition the negative
    scores, or take the end.
    """


@mistake("IVF._nearest", edit=("_none_yet(len(queries), self.probes)", "_none_yet(len(queries), 1)"))
def looks_into_one_cell():
    """You look into the best cell only. The nearest row may lie just beyond its border: look into `probes` of them."""


@mistake("IVF._nearest", edit=("rows if wanted is None else rows[wanted[rows]]", "rows"))
def forgets_the_filter():
    """You compare with every row of a cell, wanted or not. So rows that were removed come back, and a filter filters
    nothing. Leave out the rows where `wanted` is false.
    """


@mistake("IVF._nearest", edit=("        best_scores[asking], best_rows[asking] = scores, found\n", ""))
def loses_what_was_found():
    """`best_scores[asking]` with a list of numbers is a copy: `keep_best` changes the copy, and it is thrown away.
    Write both back to where they came from.
    """


@variant("IVF._nearest")
def asks_each_cell_who_is_there(self, queries, k, wanted):
    """For each cell, which queries look into it?"""
    best_rows, best_scores = _none_yet(len(queries), k)
    if len(self.centres) == 0:
        return best_rows, best_scores
    order, starts = self._lists()
    probed = np.argsort(-queries @ self.centres.T, axis=1)[:, : self.probes]
    for cell in np.unique(probed):
        asking = np.flatnonzero((probed == cell).any(axis=1))
        rows = order[starts[cell] : starts[cell + 1]]
        if wanted is not None:
            rows = rows[wanted[rows]]
        scores, found = best_scores[asking], best_rows[asking]
        keep_best(scores, found, self._score(queries[asking], rows), rows)
        best_scores[asking], best_rows[asking] = scores, found
    return best_rows, best_scores


# PQ.encode


@mistake("PQ.encode", edit=("nearest_centre(part, codes)", "np.argmax(part @ codes.T, axis=1)"))
def takes_the_largest_product():
    """You take the code with the largest dot product. Codes are not of one length, so a long one wins against a near
    one. The nearest is the one at the smallest distance: `nearest_centre`.
    """


@mistake("PQ.encode", edit=(".astype(np.uint8)", ""))
def encodes_in_eight_bytes():
    """Your codes are 64-bit integers, eight times as long as they need to be, and the point is to be short: 256 codes
    fit into a byte, `np.uint8`.
    """


@mistake(
    "PQ.encode",
    edit=("np.split(vectors, self.parts, axis=1)", "[vectors[:, part :: self.parts] for part in range(self.parts)]"),
)
def takes_every_nth_number():
    """You put every `parts`-th number into a part. The codes were trained on neighbouring numbers: the first part is
    the first `dim / parts` of them.
    """


@variant("PQ.encode")
def by_all_differences(self, vectors):
    """All differences at once."""
    if len(self.codes) == 0:
        raise ValueError("encode: there are no codes yet; train the index first.")
    cut = vectors.reshape(len(vectors), self.parts, 1, self.dim // self.parts)
    return np.argmin(np.sum((cut - self.codes) ** 2, axis=3), axis=2).astype(np.uint8)


# add_up


@mistake("add_up", edit=("tables[query, part,", "tables[query, 0,"))
def uses_one_table_for_all_parts():
    """You look every code up in the table of the first part. Code 7 of one part has nothing to do with code 7 of
    another: the part says which table.
    """


@variant("add_up")
def part_by_part(tables, stored):
    """Add a whole part's entries at once."""
    scores = np.zeros((len(tables), len(stored)), np.float32)
    for part in range(stored.shape[1]):
        scores += tables[:, part][:, stored[:, part]]
    return scores


# search_layer


@mistake("search_layer", edit=[("len(best) < ef ", "len(best) == 0 "), ("len(best) == ef", "len(best) > 0")])
def stops_at_the_first_worse_row():
    """You end the walk as soon as the next row is worse than the worst found, even while fewer than `ef` are found.
    With room left, worse rows are welcome, and may lead on to better ones.
    """


@mistake(
    "search_layer",
    edit=("if len(best) < ef or score > best[0][0]:", "if wanted[other] and (len(best) < ef or score > best[0][0]):"),
)
def stops_at_rows_that_are_not_wanted():
    """You go on from wanted rows only, so that a filter, or a few removals, cut the graph to pieces. Rows that are not
    wanted are no results, but they are on the way.
    """


@mistake("search_layer", edit=[("not wanted[entry]", "False"), ("if wanted[other]", "if True")])
def ignores_what_is_wanted():
    """You never look at `wanted`, so rows that were removed, or that the filter leaves out, are found."""


@mistake(
    "search_layer",
    edit=(
        "rows, scores = np.empty(len(best), np.int64), np.empty(len(best), np.float32)\n"
        "    for place in range(len(best) - 1, -1, -1",
        "count = len(best)\n"
        "    rows, scores = np.empty(count, np.int64), np.empty(count, np.float32)\n"
        "    for place in range(count",
    ),
)
def gives_the_worst_first():
    """You empty the heap from the front: a heap gives its smallest first, which here is the worst of the best. Fill the
    result from its end.
    """


@mistake("search_layer", edit=("graph.block[row] + layer", "graph.block[row]"))
def walks_on_layer_zero():
    """You follow the links of layer 0 on every layer. A row's blocks lie one behind the other: that for a layer is at
    `graph.block[row] + layer`.
    """


@variant("search_layer")
def with_sorted_lists(graph, layer, query, entry, ef, wanted):
    """Sorted lists in place of heaps."""
    seen = np.zeros(len(graph.vectors), np.bool_)
    seen[entry] = True
    ahead = [(similarity(graph.vectors, entry, query), entry)]
    best = [one for one in ahead if wanted[entry]]
    while ahead:
        ahead.sort()
        score, row = ahead.pop()
        if len(best) == ef and score < best[-1][0]:
            break
        for other in graph.links[graph.block[row] + layer]:
            if other != NOTHING and not seen[other]:
                seen[other] = True
                score = similarity(graph.vectors, other, query)
                if len(best) < ef or score > best[-1][0]:
                    ahead.append((score, np.int64(other)))
                    if wanted[other]:
                        best.append((score, np.int64(other)))
                        best.sort()
                        best.reverse()
                        best = best[:ef]
    rows = np.array([row for _, row in best], np.int64)
    scores = np.array([score for score, _ in best], np.float32)
    return rows, scores


# select_neighbours


@mistake("select_neighbours")
def takes_the_nearest(vectors, rows, scores, limit):
    """You take the nearest ones. In a cluster these are all in one direction, so no link leads out of it, and whole
    regions cannot be reached. Leave a candidate out that is nearer to one already chosen.
    """
    return rows[:limit].astype(np.int64)


@mistake("select_neighbours", edit=(" >", " <"))
def compares_the_wrong_way_round():
    """You leave a candidate out when it is farther from a chosen one than from the row. Those are the ones that lead
    elsewhere: keep them, and leave out the others.
    """


@mistake("select_neighbours", edit=[("count]:", "i]:"), ("chosen[:i", "rows[:i")])
def compares_with_all_candidates():
    """You compare a candidate with all better candidates, chosen or not. One that was itself left out has no link, and
    so is no way: compare with those that were chosen.
    """


@variant("select_neighbours")
def with_a_list(vectors, rows, scores, limit):
    """A list, and all comparisons at once."""
    chosen = [np.int64(row) for row in rows[:1]]
    for i in range(1, len(rows)):
        near = np.array([similarity(vectors, other, vectors[rows[i]]) for other in np.array(chosen)])
        if len(chosen) < limit and np.all(near <= scores[i]):
            chosen.append(np.int64(rows[i]))
    return np.array(chosen, np.int64)


# link


@mistake("link", edit=("other\n        return\n", "other\n    return\n"))
def drops_the_new_link():
    """Where the row is full you leave the new link out, however near the new row is. All of them compete: choose anew
    among the old ones and the new one.
    """


@mistake("link", edit=[("links[:limit]", "links"), ("< limit:", "< len(links):"), ("limit ", "len(links) ")])
def fills_the_whole_table():
    """You go by the width of the table. On the upper layers a row holds half as many links as the table is wide: what
    is full, `limit` says.
    """


@mistake("link", edit=("    links[len(chosen) :] = NOTHING\n", ""))
def leaves_old_links_behind():
    """Where fewer links are chosen than there were, the old ones behind them stay. Write -1 into the places that are
    left.
    """


@mistake(
    "link",
    edit=(
        "order = np.argsort(-scores)\n    chosen = select_neighbours(graph.vectors, rows[order], scores[order]",
        "chosen = select_neighbours(graph.vectors, rows, scores",
    ),
)
def does_not_sort_the_candidates():
    """You hand the candidates over as they stand. `select_neighbours` takes them best first: the first is always
    chosen, and decides about the others.
    """


@variant("link")
def through_a_list(graph, layer, row, other, limit):
    """Collect the links, then write all of them."""
    links = graph.links[graph.block[row] + layer]
    there = [one for one in links if one != NOTHING]
    if len(there) < limit:
        links[len(there)] = other
        return
    there.append(np.int32(other))
    rows = np.array(there, np.int64)
    scores = np.array([similarity(graph.vectors, one, graph.vectors[row]) for one in rows], np.float32)
    order = np.argsort(-scores)
    chosen = select_neighbours(graph.vectors, rows[order], scores[order], limit)
    links[:] = NOTHING
    links[: len(chosen)] = chosen


# insert


@mistake(
    "insert",
    edit=("        for other in chosen:\n            link(graph, layer, other, row, 2 * M if layer == 0 else M)\n", ""),
)
def links_one_way():
    """You link the new row to its neighbours and not them to it. Nothing leads to it then, and no search will find it:
    links go both ways.
    """


@mistake("insert", edit=("row if graph.level[row] > graph.level[entry] else entry", "entry"))
def keeps_the_entry():
    """The entry stays where it was, although the new row is on a higher layer. Nothing leads up to that layer then:
    searches have to begin at a row of the highest level.
    """


@mistake(
    "insert",
    edit=[
        ("descend(graph, query, entry, graph.level[row])", "descend(graph, query, entry, 0)"),
        ("range(min(graph.level[row], graph.level[entry]), -1, -1)", "range(0, -1, -1)"),
    ],
)
def links_on_layer_zero_only():
    """You link the row on layer 0 only. The layers above stay empty, and every search has to walk the whole way on the
    lowest: link on each layer from the row's own level down.
    """


@mistake("insert", edit=("2 * M if layer == 0 else M", "M"))
def allows_m_links_everywhere():
    """You hold every layer to `M` links. Layer 0, where all rows are and every search ends, has room for `2M`."""


@mistake("insert", edit=[("descend(graph, query, entry, graph.level[row])", "entry"), ("at = rows[0]", "at = entry")])
def begins_every_layer_at_the_entry():
    """You begin on every layer at the entry again, and what the layers above found is lost. Go on from the best row
    that the layer above found.
    """


@variant("insert")
def layer_counted_down(graph, row, entry, M, ef, wanted):
    """Count the layer down by hand."""
    top = graph.level[entry]
    at = descend(graph, graph.vectors[row], entry, graph.level[row])
    layer = graph.level[row]
    while layer >= 0:
        if layer <= top:
            found, scores = search_layer(graph, layer, graph.vectors[row], at, ef, wanted)
            place = 0
            for other in select_neighbours(graph.vectors, found, scores, M):
                graph.links[graph.block[row] + layer, place] = other
                place += 1
                link(graph, layer, other, row, M * (1 + (layer == 0)))
            if found.size:
                at = found[0]
        layer -= 1
    if graph.level[row] > top:
        return row
    return entry
