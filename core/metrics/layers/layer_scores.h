// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics that rate whole blocks, as cells: a block's score times the relative weight error of each
// of its tensors at each codec. Tensors outside the blocks take the mean score.
#pragma once
#include <span>
#include <vector>

#include "core/inference/forward.h"
#include "core/metric.h"

namespace bitloom {

// `scores`: one for each block; each counts at least a twentieth of the largest size among them, so
// that no block is for free.
Result<void> measureLayers(const MetricTask& task, std::string_view metric,
                           std::vector<double> scores, const CellSink& sink, JobContext& job);

// The text's sequences, and the residual stream before each block and before the head.
struct LayerStreams {
  std::vector<Segment> segments;
  std::vector<uint32_t> rows;  // scored, but for the last position of each sequence
  std::vector<Matrix> streams;
};
Result<LayerStreams> layerStreams(const MetricTask& task, std::string_view metric, JobContext& job,
                                  const OpTap& tap = {});

// Effective rank exp(−Σ p ln p) of a matrix with p = σ²/Σσ², and the share of the energy in its
// first `top` directions (LieQ, arXiv 2508.03332); from the Gram matrix in f64. Zeros have rank 0.
struct Spectrum {
  double effectiveRank = 0;
  double topShare = 0;
};
Spectrum spectrumOf(const Matrix& matrix, size_t top);

// Spectra of what queries, keys and values of each block and head are made of, as trained and with
// random weights N(0, 1/in) in their place. First positions are left out: a massive activation
// there would be all of the spectrum.
struct TwinSpectra {
  Spectrum trained;
  Spectrum random;
};
Result<std::vector<std::vector<TwinSpectra>>> projectionSpectra(const MetricTask& task,
                                                                std::string_view metric,
                                                                JobContext& job);

}  // namespace bitloom
