"""Dagster plug-ins that `dagster.yaml` names; the only place that may touch `dagster._core`."""
