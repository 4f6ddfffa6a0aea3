// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures of a report as SVG elements for a page whose style sheet knows the classes `axis`,
// `grid`, `label`, `hull`, `subject`, `rival` and `run`. Every text is escaped.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "core/report.h"

namespace bitloom {

// For element content and attribute values alike; bytes that are no UTF-8 become U+FFFD, control
// characters blanks.
std::string escapeHtml(std::string_view text);

std::string heatmapSvg(const ReportHeatmap& map);
std::string paretoSvg(std::span<const ReportPoint> points);

}  // namespace bitloom
