"""Change what is known of a deployment. Every change is kept, with who made it; the recorder follows with the media."""

from typing import Any

from pydantic import TypeAdapter

from varanger.api.adapters.event_rows import lock_deployments
from varanger.common.catalog.database import WriteSession
from varanger.common.catalog.tables import Deployment, DeploymentHistory

FOLLOWED = frozenset(
    {"clock_correction", "time_zone", "deployment_start", "deployment_end", "blind_periods", "event_gap_s"}
)
"""What the times and events of media follow from: a change of it raises the revision."""

_JSON: TypeAdapter[Any] = TypeAdapter(Any)


async def change_deployment(
    session: WriteSession, project_id: str, deployment_id: str, fields: dict[str, Any], *, by: str
) -> Deployment | None:
    """Write these columns; the deployment, or None where there is none. Nothing happens where nothing differs."""
    key = (project_id, deployment_id)
    row = (await lock_deployments(session, [key])).get(key)
    if row is None:
        return None
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    if not changed:
        return row
    if FOLLOWED & changed.keys():
        row.revision += 1
    before = {name: getattr(row, name) for name in changed}
    session.add(
        DeploymentHistory(
            project_id=project_id,
            deployment_id=deployment_id,
            revision=row.revision,
            by=by,
            before=_JSON.dump_python(before, mode="json"),
            after=_JSON.dump_python(changed, mode="json"),
        )
    )
    for name, value in changed.items():
        setattr(row, name, value)
    return row
