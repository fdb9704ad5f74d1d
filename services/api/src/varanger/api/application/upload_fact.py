"""The `media.uploaded.v1` of an upload row: sent when it is accepted, found standing still, or released."""

from varanger.api import PRODUCER
from varanger.common.catalog.tables import Deployment, Upload
from varanger.common.messages import Envelope, MediaUploaded, Mend
from varanger.common.words import DeploymentSnapshot, Lane


def upload_fact(upload: Upload, deployment: Deployment, *, mend: Mend | None = None) -> Envelope:
    """The fact, in the trace and on the lane of its upload."""
    return Envelope.wrap(
        MediaUploaded(
            media_id=upload.media_id,
            deployment=DeploymentSnapshot.model_validate(deployment.model_dump()),
            incoming_key=upload.incoming_key,
            sha256=upload.sha256,
            bytes=upload.bytes,
            original_name=upload.original_name,
            original_path=upload.original_path,
            uploaded_at=upload.received_at,
            archive_id=upload.archive_id,
            mend=mend,
            intake_number=upload.intake_number,
        ),
        project_id=upload.project_id,
        producer=PRODUCER,
        lane=Lane(upload.lane),
        job_id=upload.job_id,
        traceparent=upload.traceparent,
    )
