// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/metrics/layers/layer_scores.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/inference/linear.h"

namespace bitloom {
namespace {

constexpr double kLeastShare = 0.05;
constexpr size_t kTop = 8;  // directions of the energy gain; the paper does not say how many

// The Linear that an input of the block's attention comes from, through norms and rotations.
const Op* projectionOf(std::span<const Op> ops, const Op& attention, int point) {
  for (const Op* op = &attention; op-- != ops.data();) {
    if (op->output != point) continue;
    if (op->kind == OpKind::Linear) return op;
    point = op->input;
  }
  return nullptr;
}

// N(0, 1/columns), the same for every run (Box & Muller 1958).
std::vector<float> randomWeights(size_t rows, size_t columns, uint64_t seed) {
  std::vector<float> weights(rows * columns);
  const double scale = 1 / std::sqrt(double(columns));
  for (float& weight : weights) {
    const double radius = std::sqrt(-2 * std::log(nextUniform(seed) + 0x1p-54));
    weight = float(scale * radius * std::cos(2 * std::numbers::pi * nextUniform(seed)));
  }
  return weights;
}

Matrix columnsOf(const Matrix& matrix, size_t first, size_t count) {
  Matrix part(matrix.rows, count);
  for (size_t row = 0; row < matrix.rows; ++row) {
    std::copy_n(matrix.row(row) + first, count, part.row(row));
  }
  return part;
}

// Inputs of every projection, rows after the first position of each sequence.
using Inputs = std::vector<std::pair<const Op*, Matrix>>;

Matrix withoutFirst(const Matrix& input, const ProbeOptions& layout) {
  Matrix kept(size_t(layout.sequences) * (layout.tokens - 1), input.cols);
  size_t to = 0;
  for (size_t row = 0; row < input.rows; ++row) {
    if (row % layout.tokens == 0) continue;
    std::copy_n(input.row(row), input.cols, kept.row(to++));
  }
  return kept;
}

}  // namespace

Result<void> measureLayers(const MetricTask& task, std::string_view metric,
                           std::vector<double> scores, const CellSink& sink, JobContext& job) {
  double largest = 0;
  for (const double score : scores) largest = std::max(largest, std::fabs(score));
  for (double& score : scores) score = std::max(score, kLeastShare * largest);
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) /
                      double(std::max<size_t>(1, scores.size()));
  const auto& parts = task.reference.graph().parts;
  return measureCells(task, metric, sink, job, [&](const CellKey& cell) -> Result<Estimate> {
    TRY(const CodingError error, codingError(task, cell, {}, job));
    const int block = parts[cell.tensor].block;
    const bool inside = block >= 0 && block < int(scores.size());
    return Estimate{(inside ? scores[size_t(block)] : mean) * error.relative(), 0, 1};
  });
}

Result<LayerStreams> layerStreams(const MetricTask& task, std::string_view metric, JobContext& job,
                                  const OpTap& tap) {
  if (task.tokens.empty() || task.method == nullptr) {
    return makeError(ErrorCode::InvalidArgument, metric, ": needs a text and a method.");
  }
  LayerStreams result;
  for (uint32_t i = 0; i < task.layout.sequences; ++i) {
    result.segments.push_back({.tokens = task.layout.tokens});
    for (uint32_t t = task.layout.firstScored; t + 1 < task.layout.tokens; ++t) {
      result.rows.push_back(i * task.layout.tokens + t);
    }
  }
  Forward forward(task.reference);
  TRY(Matrix stream, forward.embed(task.tokens, job));
  result.streams.push_back(std::move(stream));
  for (int block = 0; block < int(forward.graph().blocks); ++block) {
    TRY(job.checkpoint());
    result.streams.push_back(result.streams.back());
    TRY(forward.blocks(block, block + 1, result.streams.back(), result.segments, job, tap));
  }
  return result;
}

Spectrum spectrumOf(const Matrix& matrix, size_t top) {
  using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Rows> map(matrix.values.data(), Eigen::Index(matrix.rows),
                                   Eigen::Index(matrix.cols));
  const Eigen::MatrixXd values = map.cast<double>();
  const bool wide = matrix.cols > matrix.rows;  // the smaller Gram matrix has the same spectrum
  const Eigen::MatrixXd gram =
      wide ? Eigen::MatrixXd(values * values.transpose()) : values.transpose() * values;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram, Eigen::EigenvaluesOnly);
  const Eigen::VectorXd energies = solver.eigenvalues().cwiseMax(0).reverse();
  const double sum = energies.sum();
  if (!(sum > 0)) return {};
  Spectrum spectrum;
  double entropy = 0;
  for (Eigen::Index k = 0; k < energies.size(); ++k) {
    const double p = energies[k] / sum;
    if (p > 0) entropy -= p * std::log(p);
    if (size_t(k) < top) spectrum.topShare += p;
  }
  spectrum.effectiveRank = std::exp(entropy);
  return spectrum;
}

Result<std::vector<std::vector<TwinSpectra>>> projectionSpectra(const MetricTask& task,
                                                                std::string_view metric,
                                                                JobContext& job) {
  const Graph& graph = task.reference.graph();
  std::map<const Op*, std::pair<int, uint32_t>> wanted;  // projection → block, width of a head
  for (const Op& op : graph.ops) {
    if (op.kind != OpKind::Attention) continue;
    for (const int point : {op.input, op.input2, op.input3}) {
      const Op* projection = projectionOf(graph.ops, op, point);
      if (projection == nullptr) continue;
      wanted[projection] = {op.block, point == op.input3 ? op.valueWidth : op.headWidth};
    }
  }
  Inputs inputs;
  TRY(const LayerStreams streams,
      layerStreams(task, metric, job, [&](const Op& op, const OpInputs& values) {
        if (wanted.count(&op)) inputs.emplace_back(&op, withoutFirst(*values.input, task.layout));
      }));
  std::vector<std::vector<TwinSpectra>> result(graph.blocks);
  for (const auto& [op, input] : inputs) {
    TRY(job.checkpoint());
    const auto [block, headWidth] = wanted.at(op);
    TRY(const DecodedWeights weights, task.reference.weights(size_t(op->weight), job));
    const size_t rows = weights->size() / input.cols;
    const std::vector<float> twin = randomWeights(rows, input.cols, uint64_t(op->weight));
    LinearInput forms;
    Matrix trained(input.rows, rows);
    Matrix random(input.rows, rows);
    TRY(multiply(input, forms, {weights->data(), 0, rows}, Products::TwoParts, trained, job));
    TRY(multiply(input, forms, {twin.data(), 0, rows}, Products::TwoParts, random, job));
    const size_t heads = rows / headWidth;
    std::vector<TwinSpectra>& spectra = result[size_t(block)];
    const size_t first = spectra.size();
    spectra.resize(first + heads);
    job.parallelFor(heads, 1, [&](size_t begin, size_t end) {
      for (size_t head = begin; head < end; ++head) {
        spectra[first + head] = {spectrumOf(columnsOf(trained, head * headWidth, headWidth), kTop),
                                 spectrumOf(columnsOf(random, head * headWidth, headWidth), kTop)};
      }
    });
  }
  return result;
}

}  // namespace bitloom
