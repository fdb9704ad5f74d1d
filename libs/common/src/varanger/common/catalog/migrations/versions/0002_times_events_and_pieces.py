"""Times, events, uploads in pieces, files out of archives, mended quarantine

Deployments come out one revision ahead, so that the recorder derives the times and events of media that are there.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from varanger.common.catalog.columns import Json, UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('event',
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('event_id', sa.String(), nullable=False),
    sa.Column('deployment_id', sa.String(), nullable=False),
    sa.Column('event_start', UtcDateTime(), nullable=True),
    sa.Column('event_end', UtcDateTime(), nullable=True),
    sa.Column('capture_method', sa.String(), nullable=True),
    sa.Column('media_count', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('project_id', 'event_id')
    )
    with op.batch_alter_table('event', schema=None) as batch_op:
        batch_op.create_index('event_by_deployment', ['project_id', 'deployment_id', 'event_start'], unique=False)

    op.create_table('deployment_history',
    sa.Column('history_id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('deployment_id', sa.String(), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('by', sa.String(), nullable=False),
    sa.Column('before', Json, nullable=False),
    sa.Column('after', Json, nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('history_id')
    )
    with op.batch_alter_table('deployment_history', schema=None) as batch_op:
        batch_op.create_index('deployment_history_of_deployment', ['project_id', 'deployment_id', 'history_id'], unique=False)

    op.create_table('idempotency_key',
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('caller', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('fingerprint', sa.String(), nullable=True),
    sa.Column('status', sa.Integer(), nullable=True),
    sa.Column('answer', Json, nullable=True),
    sa.Column('begun_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('caller', 'key')
    )
    with op.batch_alter_table('idempotency_key', schema=None) as batch_op:
        batch_op.create_index('ix_idempotency_key_begun_at', ['begun_at'], unique=False)

    op.create_table('partial_upload',
    sa.Column('upload_id', sa.Uuid(), nullable=False),
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('deployment_id', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('key_id', sa.Uuid(), nullable=True),
    sa.Column('original_path', sa.String(), nullable=False),
    sa.Column('upload_metadata', sa.String(), nullable=True),
    sa.Column('lane', sa.String(), nullable=False),
    sa.Column('bytes', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.String(), nullable=True),
    sa.Column('offset', sa.BigInteger(), nullable=False),
    sa.Column('parts', Json, nullable=False),
    sa.Column('store_upload_id', sa.String(), nullable=True),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('verdict', Json, nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('upload_id')
    )
    with op.batch_alter_table('partial_upload', schema=None) as batch_op:
        batch_op.create_index('partial_upload_expiring', ['state', 'expires_at'], unique=False)

    with op.batch_alter_table('api_key', schema=None) as batch_op:
        batch_op.add_column(sa.Column('requests_per_minute', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('bytes_per_hour', sa.BigInteger(), nullable=True))

    with op.batch_alter_table('dead_letter', schema=None) as batch_op:
        batch_op.add_column(sa.Column('frame_number', sa.Integer(), nullable=False, server_default='-1'))

    with op.batch_alter_table('deployment', schema=None) as batch_op:
        batch_op.add_column(sa.Column('clock_correction', Json, nullable=True))
        batch_op.add_column(sa.Column('event_gap_s', sa.Float(), nullable=False, server_default='60'))
        batch_op.add_column(sa.Column('revision', sa.Integer(), nullable=False, server_default='2'))
        batch_op.add_column(sa.Column('applied_revision', sa.Integer(), nullable=False, server_default='1'))

    for offset in _offsets():
        op.execute(offset)
    with op.batch_alter_table('deployment', schema=None) as batch_op:
        batch_op.drop_column('clock_correction_s')


    with op.batch_alter_table('media', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sub_seconds', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('utc_offset', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('clock_correction_s', sa.Float(), nullable=False, server_default='0'))
        batch_op.add_column(sa.Column('time_flags', Json, nullable=False, server_default='[]'))
        batch_op.add_column(sa.Column('event_id', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('user_label', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('sequence_number', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('sequence_length', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('event_number', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('temperature_c', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('moon_phase', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('battery_v', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('infrared', sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column('exposure_time_s', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('f_number', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('iso', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('latitude', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('longitude', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('duration_s', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('frame_rate', sa.Float(), nullable=True))
        batch_op.add_column(sa.Column('frame_numbers', Json, nullable=False, server_default='[]'))
        batch_op.create_index('media_by_time', ['project_id', 'deployment_id', 'captured_at_utc'], unique=False)
        batch_op.create_index('media_of_event', ['project_id', 'event_id'], unique=False)

    with op.batch_alter_table('quarantine', schema=None) as batch_op:
        batch_op.add_column(sa.Column('mend', Json, nullable=True))
        batch_op.add_column(sa.Column('released_at', UtcDateTime(), nullable=True))

    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.add_column(sa.Column('archive_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('intake_number', sa.Integer(), nullable=False, server_default='1'))
        batch_op.create_index('ix_upload_archive_id', ['archive_id'], unique=False)
        batch_op.create_index(
            'upload_duplicates',
            ['duplicate_of'],
            unique=False,
            postgresql_where=sa.text('duplicate_of IS NOT NULL'),
            sqlite_where=sa.text('duplicate_of IS NOT NULL'),
        )
        batch_op.drop_index('upload_to_sweep')
        batch_op.create_index(
            'upload_to_sweep',
            ['media_id'],
            unique=False,
            postgresql_where=sa.text('swept_at IS NULL'),
            sqlite_where=sa.text('swept_at IS NULL'),
        )


def _offsets() -> Iterator[sa.Update]:
    """The constant offsets of before, as corrections."""
    deployment = sa.table(
        "deployment",
        *(sa.column(name) for name in ("project_id", "deployment_id", "clock_correction_s")),
        sa.column("clock_correction", Json),
    )
    rows = op.get_bind().execute(sa.select(deployment).where(deployment.c.clock_correction_s != 0)).all()
    for row in rows:
        yield (
            sa.update(deployment)
            .where(deployment.c.project_id == row.project_id, deployment.c.deployment_id == row.deployment_id)
            .values(clock_correction={"kind": "offset", "seconds": row.clock_correction_s})
        )
