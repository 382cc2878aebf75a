"""Start an execution from a program, wait for it, and read its graph."""

from pathlib import Path

from beep_orchestration.service import WorkflowService

article = Path("examples/documents/bell_labs.txt").read_text(encoding="utf-8")
with WorkflowService.connect() as service:
    document = {"document_id": "bell_labs", "text": article}
    execution_id = service.start("extraction", document, idempotency_key="bell_labs")
    print(service.wait(execution_id).status)
    graph = service.result(execution_id)
for relation in graph["relations"]:
    print(relation["subject"], relation["predicate"], relation["object"])
