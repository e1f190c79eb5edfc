"""The DevOps copilot: from a cluster, files or a pipe to the lines that hold the root cause, and to cited answers.

    with open_logs("app.log.gz") as lines:
        for piece in why(parse(lines)):
            print(piece.number, piece.text, piece.reasons)

    with open_store("copilot.duckdb") as store:
        ingest_files(store, ["app.log.gz"])
        evidence = why(store.records())
        unusual = anomalies(store.records(), window="5m")

    trained = train(read_examples("BGL.log", tagged=True, binary=True))
    trained.classifier.predict(records)

Nothing here needs a language model. `systems.copilot.ask` answers questions from the store and from runbooks
(`groundup.knowledge`). DuckDB, Chroma, LangChain and the Kubernetes client (the extra `copilot`) are imported
when they are needed, not before.
"""

from __future__ import annotations

from groundup.masking import mask
from groundup.secrets import hide
from groundup.systems.copilot.classifying.classify import Classifier, Prediction, Trained, train
from groundup.systems.copilot.classifying.labels import Example, examples_of, read_examples
from groundup.systems.copilot.finding.anomalies import Anomaly, anomalies
from groundup.systems.copilot.finding.evidence import Evidence, why
from groundup.systems.copilot.finding.templates import Miner, Template
from groundup.systems.copilot.reading.logs import Record, open_logs, parse
from groundup.systems.copilot.sources.files import ingest_files, ingest_stream
from groundup.systems.copilot.store import Source, Store, open_store

__all__ = [
    "Anomaly", "Classifier", "Evidence", "Example", "Miner", "Prediction", "Record", "Source", "Store", "Template",
    "Trained", "anomalies", "examples_of", "hide", "ingest_files", "ingest_stream", "mask", "open_logs", "open_store",
    "parse", "read_examples", "train", "why",
]  # fmt: skip
