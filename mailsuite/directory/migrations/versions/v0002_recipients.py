"""Forwards of accounts; domains for which we are only a backup, and domains that capture every name."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("domains", sa.Column("backup_mx", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("domains", sa.Column("capture_seconds", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("users", sa.Column("keep_copy", sa.Boolean, nullable=False, server_default=sa.true()))
    op.create_table(
        "forwards",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("user_id", sa.Integer, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_forwards"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_forwards_user_id", ondelete="CASCADE"),
        sa.UniqueConstraint("user_id", "target", name="uq_forwards_user_id_target"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_forwards_target", "forwards", ["target"])
