// SPDX-License-Identifier: GPL-3.0-or-later
// Report → one HTML page. A content security policy forbids it to load anything.
#include "core/base/strings.h"
#include "core/report.h"
#include "core/report_svg.h"

namespace bitloom {
namespace {

constexpr const char* kStyle = R"(
:root{--page:#f6f5f2;--card:#fff;--ink:#1d2129;--faint:#6c7380;--line:#e3e1db;--accent:#0b6e75;--soft:#e6f2f2}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--card:#1c2027;--ink:#e8e6e1;--faint:#99a1ae;--line:#2f353f;--accent:#58c3c9;--soft:#1d3336}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI","Noto Sans","DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 64px}
header{margin-bottom:24px}
h1{font-size:30px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:18px;margin:0 0 4px}
.mark{color:var(--accent);font-weight:600;font-size:13px;letter-spacing:.08em;text-transform:uppercase;margin:0 0 8px}
.subtitle{color:var(--faint);font-size:17px;margin:0}
.note{color:var(--faint);font-size:13.5px;margin:0 0 14px;max-width:80ch}
.verdict{background:var(--soft);border-left:4px solid var(--accent);border-radius:0 8px 8px 0;padding:14px 18px;font-size:17px;margin:0 0 24px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 24px}
.figure,section{background:var(--card);border:1px solid var(--line);border-radius:10px}
.figure{padding:14px 16px}
.figure b{display:block;font-size:23px;line-height:1.25;font-variant-numeric:tabular-nums;font-weight:650}
.figure span{color:var(--faint);font-size:13px}
section{padding:20px 22px;margin:0 0 20px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--faint);font-weight:600;white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
th.n,td.n{text-align:right;white-space:nowrap}
td.faint{color:var(--faint)}
td.strong{font-weight:650}
tr.subject td{background:var(--soft)}
details{margin-top:10px}
summary{cursor:pointer;color:var(--accent);font-size:13.5px;padding:4px 0}
svg{display:block;width:100%;height:auto;max-width:960px}
svg text{font:12px system-ui,"Noto Sans","DejaVu Sans",sans-serif;fill:var(--faint)}
.grid{stroke:var(--line);stroke-width:1}
.hull{fill:none;stroke:var(--accent);stroke-width:1.5;stroke-dasharray:4 4;opacity:.7}
.subject circle{fill:var(--accent)}.subject line{stroke:var(--accent);stroke-width:2}
.rival circle,.run circle{fill:var(--card);stroke-width:2}
.rival circle,.rival line{stroke:var(--ink)}
.run circle,.run line{stroke:var(--faint)}
.map{margin-top:18px}
.map h3{font-size:14px;margin:0 0 6px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0;font-size:13.5px}
dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}
footer{color:var(--faint);font-size:13px;text-align:center;margin-top:28px}
@media print{body{background:#fff}section,.figure{break-inside:avoid}}
)";

std::string cell(const ReportTable::Value& value) {
  std::string classes = value.number ? "n" : "";
  if (value.faint) classes += " faint";
  if (value.strong) classes += " strong";
  const std::string open = classes.empty() ? "<td>" : "<td class=\"" + classes + "\">";
  return open + escapeHtml(value.text) + "</td>";
}

std::string rowsHtml(const ReportTable& table, size_t first, size_t last) {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (size_t c = 0; c < table.head.size(); ++c) {
    const bool number = !table.rows.empty() && table.rows.front()[c].number;
    out += (number ? "<th class=\"n\">" : "<th>") + escapeHtml(table.head[c]) + "</th>";
  }
  out += "</tr></thead><tbody>";
  for (size_t r = first; r < last; ++r) {
    const bool subject = table.rows[r].front().strong && table.rows[r].back().strong;
    out += subject ? "<tr class=\"subject\">" : "<tr>";
    for (const auto& value : table.rows[r]) out += cell(value);
    out += "</tr>";
  }
  return out + "</tbody></table></div>";
}

std::string note(const std::string& words) {
  return words.empty() ? "" : "<p class=\"note\">" + escapeHtml(words) + "</p>";
}

std::string section(const std::string& heading, const std::string& body) {
  return "<section><h2>" + escapeHtml(heading) + "</h2>" + body + "</section>\n";
}

std::string tableHtml(const ReportTable& table) {
  const size_t all = table.rows.size();
  const size_t shown = table.shownRows == 0 ? all : std::min(all, table.shownRows);
  std::string body = note(table.note) + rowsHtml(table, 0, shown);
  if (shown < all) {
    body += strCat("<details><summary>", all - shown, " more</summary>",
                   rowsHtml(table, shown, all), "</details>");
  }
  return section(table.heading, body);
}

std::string figuresHtml(const std::vector<Report::Figure>& figures) {
  if (figures.empty()) return {};
  std::string out = "<div class=\"figures\">";
  for (const auto& figure : figures) {
    out += "<div class=\"figure\"><span>" + escapeHtml(figure.label) + "</span><b>" +
           escapeHtml(figure.value) + "</b><span>" + escapeHtml(figure.detail) + "</span></div>";
  }
  return out + "</div>\n";
}

std::string heatmapsHtml(const std::vector<ReportHeatmap>& maps) {
  if (maps.empty()) return {};
  std::string body = note(
      "Blocks from left to right, roles from top to bottom; point at a cell "
      "for its figures.");
  for (const ReportHeatmap& map : maps) {
    body += "<div class=\"map\"><h3>" + escapeHtml(map.heading) + "</h3>" + note(map.note) +
            heatmapSvg(map) + "</div>";
  }
  return section("Where the bits go", body);
}

std::string provenanceHtml(const std::vector<Report::Figure>& provenance) {
  std::string body = "<dl>";
  for (const auto& entry : provenance) {
    body += "<dt>" + escapeHtml(entry.label) + "</dt><dd>" + escapeHtml(entry.value) + "</dd>";
  }
  return section("Provenance", body + "</dl>");
}

}  // namespace

std::string toHtml(const Report& report) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
      escapeHtml(report.title) + " · Bitloom</title>\n<style>" + kStyle +
      "</style></head>\n<body><main>\n<header><p class=\"mark\">Bitloom report</p><h1>" +
      escapeHtml(report.title) + "</h1><p class=\"subtitle\">" + escapeHtml(report.subtitle) +
      "</p></header>\n";
  if (!report.verdict.empty()) {
    out += "<p class=\"verdict\">" + escapeHtml(report.verdict) + "</p>\n";
  }
  out += figuresHtml(report.figures);
  bool drawn = false;
  for (const ReportTable& table : report.tables) {
    out += tableHtml(table);
    if (drawn) continue;  // pictures follow the first table
    if (!report.points.empty()) {
      out += section("Size and damage", note(report.pointsNote) + paretoSvg(report.points));
    }
    out += heatmapsHtml(report.heatmaps);
    drawn = true;
  }
  return out + provenanceHtml(report.provenance) +
         "<footer>Made by Bitloom. Nothing on this page is loaded from elsewhere.</footer>\n"
         "</main></body></html>\n";
}

}  // namespace bitloom
