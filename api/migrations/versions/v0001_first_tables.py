"""Users, predictions, feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the three tables."""
    op.create_table(
        "users",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_table(
        "predictions",
        sa.Column("request_id", sa.Text(), primary_key=True),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("product_id", sa.BigInteger()),
        sa.Column("imageid", sa.BigInteger()),
        sa.Column("product_identifier", sa.Text(), nullable=False),
        sa.Column("designation", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("has_image", sa.Boolean(), nullable=False),
        sa.Column("predicted", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("top", sa.JSON(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_index("predictions_by_time", "predictions", ["created", "request_id"])
    op.create_table(
        "feedback",
        sa.Column(
            "request_id",
            sa.Text(),
            sa.ForeignKey("predictions.request_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("user", sa.Text(), primary_key=True),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created", MOMENT, nullable=False),
    )
    op.create_index("feedback_by_time", "feedback", ["created", "request_id", "user"])


def downgrade() -> None:
    """Drops them, with all they hold."""
    op.drop_table("feedback")
    op.drop_table("predictions")
    op.drop_table("users")
