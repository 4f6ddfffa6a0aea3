// SPDX-License-Identifier: GPL-3.0-or-later
// Report → Markdown (GitHub's tables). Pictures are left to HTML; their figures are in the tables.
#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/report.h"

namespace bitloom {
namespace {

// Characters that Markdown or HTML would read as marks are escaped; a line break would end a row.
std::string escaped(const std::string& raw) {
  std::string out;
  for (char c : validUtf8(raw)) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      if (std::string_view("\\|*_`[]#~").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string tableMarkdown(const ReportTable& table) {
  std::string out = "\n## " + escaped(table.heading) + "\n";
  if (!table.note.empty()) out += escaped(table.note) + "\n";
  out += "\n|";
  for (const std::string& title : table.head) out += " " + escaped(title) + " |";
  out += "\n|";
  for (size_t c = 0; c < table.head.size(); ++c) {
    out += !table.rows.empty() && table.rows.front()[c].number ? "---:|" : "---|";
  }
  for (const auto& row : table.rows) {
    out += "\n|";
    for (const auto& value : row) {
      const std::string text = escaped(value.text);
      out += " " + (value.strong && !text.empty() ? "**" + text + "**" : text) + " |";
    }
  }
  return out + "\n";
}

// The cells that suffer most, of each map that is no plan.
ReportTable worstCells(const ReportHeatmap& map) {
  constexpr size_t kShown = 10;
  std::vector<ReportHeatmap::Tile> tiles = map.tiles;
  std::sort(tiles.begin(), tiles.end(),
            [](const auto& a, const auto& b) { return a.value > b.value; });
  tiles.resize(std::min(tiles.size(), kShown));
  ReportTable table{.heading = map.heading,
                    .note = strCat("The ", tiles.size(), " largest of ", map.tiles.size(),
                                   " cells, in ", map.unit, ". ", map.note),
                    .head = {"cell"}};
  for (const auto& tile : tiles) table.rows.push_back({{tile.label}});
  return table;
}

}  // namespace

std::string toMarkdown(const Report& report) {
  std::string out = "# " + escaped(report.title) + "\n";
  if (!report.subtitle.empty()) out += escaped(report.subtitle) + "\n";
  if (!report.verdict.empty()) out += "\n> " + escaped(report.verdict) + "\n";
  if (!report.figures.empty()) out += "\n";
  for (const auto& figure : report.figures) {
    out += "- " + escaped(figure.label) + ": **" + escaped(figure.value) + "**" +
           (figure.detail.empty() ? "" : " (" + escaped(figure.detail) + ")") + "\n";
  }
  for (const ReportTable& table : report.tables) out += tableMarkdown(table);
  for (const ReportHeatmap& map : report.heatmaps) {
    if (map.logarithmic) out += tableMarkdown(worstCells(map));
  }
  out += "\n## Provenance\n";
  for (const auto& entry : report.provenance) {
    out += "- " + escaped(entry.label) + ": " + escaped(entry.value) + "\n";
  }
  return out;
}

}  // namespace bitloom
