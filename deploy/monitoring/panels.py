"""Panels of Grafana as short descriptions, built by grafana-foundation-sdk."""

from dataclasses import dataclass
from itertools import count
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="prometheus")
"""The data source that grafana/provisioning brings."""
WIDTH, HEIGHT = 8, 8
"""Of a panel; a dashboard is 24 wide."""


@dataclass(frozen=True)
class Panel:
    """What is drawn: PromQL by the legend of what it yields, which may hold {{label}}.

    `limit` is the value from which a `stat` is red.
    """

    title: str
    told: str
    unit: str
    queries: dict[str, str]
    kind: Literal["timeseries", "stat"] = "timeseries"
    limit: float | None = None
    maximum: float | None = None
    width: int = WIDTH


def build(panel: Panel) -> timeseries.Panel | stat.Panel:
    """The builder of a panel."""
    built = _stat(panel) if panel.kind == "stat" else _series()
    built.title(panel.title).description(panel.told).datasource(SOURCE).unit(panel.unit)
    built.span(panel.width).height(HEIGHT if panel.kind == "timeseries" else HEIGHT // 2)
    if panel.maximum is not None:
        built.max(panel.maximum)
    for number, (legend, expression) in enumerate(panel.queries.items()):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE)
        built.with_target(query.range().ref_id(chr(ord("A") + number)))
    return built


def _series() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True)
    built = timeseries.Panel().legend(legend.placement(LegendPlacement.BOTTOM))
    built.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    return built.min(0).fill_opacity(10).line_width(1)


def _stat(panel: Panel) -> stat.Panel:
    steps = [Threshold(value=None, color="green")]
    if panel.limit is not None:
        steps.append(Threshold(value=panel.limit, color="red"))
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    built = stat.Panel().thresholds(thresholds).color_mode(BigValueColorMode.VALUE)
    return built.graph_mode(BigValueGraphMode.AREA).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"])
    )


def board(title: str, uid: str, told: str, rows: dict[str, list[Panel]]) -> dashboard.Dashboard:
    """The builder of a dashboard, whose panels stand in rows."""
    made = dashboard.Dashboard(title).uid(uid).description(told).tags(["product-codes"])
    made.readonly().refresh("30s").time("now-3h", "now").timezone("browser")
    link = dashboard.DashboardLink("Dashboards").type(DashboardLinkType.DASHBOARDS)
    made.link(link.tags(["product-codes"]).as_dropdown(True).include_vars(True).keep_time(True))
    numbers = count(1)
    for name, panels in rows.items():
        made.with_row(dashboard.Row(name).id(next(numbers)))
        for panel in panels:
            made.with_panel(build(panel).id(next(numbers)))
    return made
