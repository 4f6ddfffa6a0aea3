// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/report_svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "core/base/strings.h"

namespace bitloom {
namespace {

std::string format(const char* pattern, double a, double b = 0, double c = 0, double d = 0) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, a, b, c, d);
  return text;
}

// Anchors of cividis (Nuñez, Anderton, Renslow 2018), which reads the same to colour-blind eyes.
constexpr std::array<std::array<int, 3>, 9> kCividis = {{{0, 34, 78},
                                                         {31, 54, 109},
                                                         {67, 78, 108},
                                                         {97, 101, 111},
                                                         {124, 123, 120},
                                                         {155, 147, 119},
                                                         {187, 172, 110},
                                                         {222, 200, 92},
                                                         {254, 232, 56}}};

std::string colour(double share) {
  const double at = std::clamp(share, 0.0, 1.0) * double(kCividis.size() - 1);
  const size_t low = std::min(size_t(at), kCividis.size() - 2);
  const double mix = at - double(low);
  char text[8];
  int channel[3];
  for (size_t i = 0; i < 3; ++i) {
    channel[i] = int(std::lround(kCividis[low][i] * (1 - mix) + kCividis[low + 1][i] * mix));
  }
  std::snprintf(text, sizeof text, "#%02x%02x%02x", unsigned(channel[0]) & 255U,
                unsigned(channel[1]) & 255U, unsigned(channel[2]) & 255U);
  return text;
}

// Values of tiles onto 0 … 1; what is not positive lies at the lower end of a logarithmic scale.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;

  explicit Scale(const ReportHeatmap& map) : logarithmic(map.logarithmic) {
    std::vector<double> values;
    for (const auto& tile : map.tiles) {
      if (std::isfinite(tile.value) && (!logarithmic || tile.value > 0)) {
        values.push_back(tile.value);
      }
    }
    if (values.empty()) return;
    std::sort(values.begin(), values.end());
    low = values[values.size() / 50];  // a few tiny cells must not use up the scale
    high = values.back();
    if (!(high > low)) low = logarithmic ? high / 2 : high - 1;
  }
  double share(double value) const {
    if (!logarithmic) return (value - low) / (high - low);
    if (!(value > 0)) return 0;
    return std::log(value / low) / std::log(high / low);
  }
};

constexpr double kLeft = 104;
constexpr double kTileHeight = 20;
constexpr double kWidth = 960;

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return format(R"(<text class="label" x="%.1f" y="%.1f" text-anchor=")", x, y) + anchor + "\">" +
         escapeHtml(words) + "</text>";
}

bool isNumber(const std::string& name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string columnLabels(const ReportHeatmap& map, double width, double y) {
  std::string out;
  for (size_t c = 0; c < map.columns.size(); ++c) {
    const bool block = isNumber(map.columns[c]);
    const double centre = kLeft + (double(c) + 0.5) * width;
    if (block && width < 18 && c % 5 != 0) continue;
    if (block) {
      out += text(centre, y + 15, "middle", map.columns[c]);
      continue;
    }
    out +=
        format(
            R"x(<text class="label" text-anchor="end" transform="translate(%.1f %.1f) rotate(-40)">)x",
            centre + 4, y + 12) +
        escapeHtml(map.columns[c]) + "</text>";
  }
  return out;
}

std::string legend(const Scale& scale, const ReportHeatmap& map, double y) {
  std::string out = R"(<g shape-rendering="crispEdges">)";
  constexpr int kSteps = 48;
  for (int i = 0; i < kSteps; ++i) {
    out += format(R"(<rect x="%.1f" y="%.1f" width="5" height="9" fill=")", kLeft + 5 * i, y) +
           colour(double(i) / (kSteps - 1)) + "\"/>";
  }
  out += "</g>" + text(kLeft - 8, y + 9, "end", format("%.3g", scale.low)) +
         text(kLeft + 5 * kSteps + 8, y + 9, "start",
              format("%.3g ", scale.high) + map.unit + (map.logarithmic ? ", logarithmic" : ""));
  return out;
}

// ---- size × divergence ----

constexpr double kPlotHeight = 380, kPlotLeft = 70, kPlotRight = 30, kPlotTop = 16, kPlotFoot = 46;

// Pixels of a plot with a linear x axis (bytes) and a logarithmic y axis (nats).
struct Axes {
  double xLow, xHigh, yLow, yHigh;

  explicit Axes(std::span<const ReportPoint> points) {
    xLow = yLow = INFINITY;
    xHigh = yHigh = 0;
    for (const ReportPoint& point : points) {
      xLow = std::min(xLow, point.bytes);
      xHigh = std::max(xHigh, point.bytes);
      yLow = std::min({yLow, point.kld, point.interval.low > 0 ? point.interval.low : point.kld});
      yHigh = std::max(
          {yHigh, point.kld, std::isfinite(point.interval.high) ? point.interval.high : point.kld});
    }
    const double margin = std::max((xHigh - xLow) * 0.08, xHigh * 0.01);
    xLow -= margin;
    xHigh += 2.2 * margin;  // names stand to the right of their points
    yLow /= 1.3;
    yHigh *= 1.3;
  }
  double x(double bytes) const {
    return kPlotLeft + (bytes - xLow) / (xHigh - xLow) * (kWidth - kPlotLeft - kPlotRight);
  }
  double y(double kld) const {
    const double share = std::log(kld / yLow) / std::log(yHigh / yLow);
    return kPlotHeight - kPlotFoot - share * (kPlotHeight - kPlotFoot - kPlotTop);
  }
};

double niceStep(double span) {
  const double power = std::pow(10, std::floor(std::log10(span / 5)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (span / (factor * power) <= 7) return factor * power;
  }
  return 10 * power;
}

std::string gridLines(const Axes& axes) {
  std::string out;
  const double foot = kPlotHeight - kPlotFoot;
  const double step = niceStep(axes.xHigh - axes.xLow);
  for (double x = std::ceil(axes.xLow / step) * step; x < axes.xHigh; x += step) {
    out += format(R"(<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)", axes.x(x),
                  kPlotTop, axes.x(x), foot) +
           text(axes.x(x), foot + 18, "middle", decimalSize(uint64_t(std::max(0.0, x))));
  }
  for (double decade = std::pow(10, std::floor(std::log10(axes.yLow))); decade < axes.yHigh;
       decade *= 10) {
    for (double factor : {1.0, 2.0, 5.0}) {
      const double value = decade * factor;
      if (value < axes.yLow || value > axes.yHigh) continue;
      out += format(R"(<line class="grid" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)", kPlotLeft,
                    axes.y(value), kWidth - kPlotRight, axes.y(value)) +
             text(kPlotLeft - 8, axes.y(value) + 4, "end", format("%g", value));
    }
  }
  out += text((kPlotLeft + kWidth - kPlotRight) / 2, kPlotHeight - 6, "middle", "file size");
  out +=
      format(
          R"x(<text class="label" text-anchor="middle" transform="translate(14 %.1f) rotate(-90)">)x",
          (kPlotTop + foot) / 2) +
      "mean KLD, nats per token</text>";
  return out;
}

// Points that nothing of equal or smaller size beats, from small to large.
std::vector<ReportPoint> frontier(std::vector<ReportPoint> points) {
  std::sort(points.begin(), points.end(), [](const auto& a, const auto& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.kld < b.kld;
  });
  std::vector<ReportPoint> best;
  for (ReportPoint& point : points) {
    if (best.empty() || point.kld < best.back().kld) best.push_back(std::move(point));
  }
  return best;
}

std::string pointMark(const Axes& axes, const ReportPoint& point) {
  const char* kind = point.kind == ReportPoint::Kind::Subject ? "subject"
                     : point.kind == ReportPoint::Kind::Rival ? "rival"
                                                              : "run";
  const double x = axes.x(point.bytes);
  const double y = axes.y(point.kld);
  std::string out = std::string("<g class=\"") + kind + "\"><title>" + escapeHtml(point.name) +
                    ": " + escapeHtml(decimalSize(uint64_t(point.bytes))) +
                    format(", KLD %.4g", point.kld);
  if (std::isfinite(point.interval.low)) {
    out += format(" (%.4g … %.4g)", point.interval.low, point.interval.high);
  }
  out += "</title>";
  if (point.interval.low > 0 && std::isfinite(point.interval.high)) {
    out += format(R"(<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>)", x,
                  axes.y(point.interval.low), x, axes.y(point.interval.high));
  }
  return out + format(R"(<circle cx="%.1f" cy="%.1f" r="%.1f"/></g>)", x, y,
                      point.kind == ReportPoint::Kind::Subject ? 6.5 : 5);
}

// Names beside their points, moved down where another name stands already.
std::string pointNames(const Axes& axes, std::span<const ReportPoint> points) {
  struct Spot {
    double x, y, width;
  };
  std::vector<Spot> taken;
  std::string out;
  for (const ReportPoint& point : points) {
    const double width = 6.6 * double(std::min<size_t>(point.name.size(), 28));
    Spot spot{axes.x(point.bytes) + 10, axes.y(point.kld) + 4, width};
    const bool right = spot.x + width < kWidth;
    if (!right) spot.x = axes.x(point.bytes) - 10 - width;
    for (bool moved = true; moved;) {
      moved = false;
      for (const Spot& other : taken) {
        const bool beside = spot.x > other.x + other.width || other.x > spot.x + spot.width;
        if (beside || std::abs(spot.y - other.y) >= 13) continue;
        spot.y = other.y + 13;
        moved = true;
      }
    }
    if (spot.y > kPlotHeight - kPlotFoot) continue;  // the mark's tooltip has it
    taken.push_back(spot);
    std::string name = point.name;
    if (name.size() > 28) name = validUtf8(name.substr(0, 26)) + "…";
    out += text(right ? spot.x : spot.x + width, spot.y, right ? "start" : "end", name);
  }
  return out;
}

}  // namespace

std::string escapeHtml(std::string_view raw) {
  std::string out;
  for (char c : validUtf8(raw)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    }
  }
  return out;
}

std::string heatmapSvg(const ReportHeatmap& map) {
  const Scale scale(map);
  const double width =
      std::min(60.0, (kWidth - kLeft) / double(std::max<size_t>(1, map.columns.size())));
  const double foot = double(map.rows.size()) * kTileHeight;
  const bool named = std::any_of(map.columns.begin(), map.columns.end(),
                                 [](const std::string& name) { return !isNumber(name); });
  const double legendTop = foot + (named ? 62 : 30);
  std::string out =
      format(R"(<svg viewBox="0 0 %.0f %.0f" role="img" aria-label=")", kWidth, legendTop + 14) +
      escapeHtml(map.heading) + R"("><g shape-rendering="crispEdges">)";
  for (const auto& tile : map.tiles) {
    const bool block = isNumber(map.columns[tile.column]);  // others stand as high as the map
    out += format(R"(<rect x="%.2f" y="%.1f" width="%.2f" height="%.1f" fill=")",
                  kLeft + double(tile.column) * width, double(tile.row) * kTileHeight, width - 1,
                  (block ? kTileHeight : foot) - 1) +
           colour(scale.share(tile.value)) + "\"><title>" + escapeHtml(tile.label) +
           "</title></rect>";
  }
  out += "</g>";
  for (size_t r = 0; r < map.rows.size(); ++r) {
    out += text(kLeft - 8, double(r) * kTileHeight + 14, "end", map.rows[r]);
  }
  return out + columnLabels(map, width, foot) + legend(scale, map, legendTop) + "</svg>";
}

std::string paretoSvg(std::span<const ReportPoint> points) {
  if (points.empty()) return {};
  const Axes axes(points);
  std::string out =
      format(R"(<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="Size and damage">)", kWidth,
             kPlotHeight) +
      gridLines(axes) + R"(<polyline class="hull" points=")";
  for (const ReportPoint& point : frontier({points.begin(), points.end()})) {
    out += format("%.1f,%.1f ", axes.x(point.bytes), axes.y(point.kld));
  }
  out += "\"/>";
  for (const ReportPoint& point : points) out += pointMark(axes, point);
  return out + pointNames(axes, points) + "</svg>";
}

}  // namespace bitloom
