// SPDX-License-Identifier: GPL-3.0-or-later
// Products with weights that stay encoded. For inference a tensor is arranged anew, once: 16 rows
// side by side form a *panel*, in which a vector register holds four neighbouring weights of each
// row. Sums of 16 rows then grow in the 16 lanes, no sum across lanes is needed, and the scales of
// 16 rows are one load. A panel holds the codec's codes and scales at (nearly) the codec's width.
//
// Activations are rounded to signed bytes, one scale for each 32 (the *price* of this form, about
// what Q8_0 costs on weights), and multiplied with unsigned bytes u: weight = scale · (u − zero),
// u a code or the table's entry for it, so that sums of 32 products are exact integers. Codecs that
// live in a rotated basis meet rotated activations: a·w = (R·a)·(R·w).
//
// A codec gets such a path by a file kernels/cpu/codecs/<codec>.inl and no other change. Kernels
// own nothing and cannot fail; any thread.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace bitloom {

constexpr size_t kPanelRows = 16;
constexpr size_t kPanelStep = 32;  // weights of a row that share an activation scale
constexpr size_t kPanelSums = 4;   // entries of `sums` for one such step

// Activations of `tokens` rows of k values, rounded: value ≈ scale · code. k is a multiple of 32.
struct RoundedActivations {
  int8_t* codes;  // tokens × k
  float* scales;  // tokens × k / 32
  int32_t* sums;  // tokens × k / 32 × 4: −128 · (sum of the first half's codes, of the second's,
                  // of all), 0
};

struct PanelSource {
  const uint8_t* bytes;  // of the first of the panel's rows, as the codec stores them
  size_t rowBytes;
  size_t rows;  // 1 … 16; rows that lack are zeros
  size_t k;
};

// out[token][row] for all rows of consecutive panels.
struct PanelProduct {
  const uint8_t* panels;
  size_t panelCount;
  RoundedActivations input;  // codecs with `integer`
  const float* activations;  // others: tokens × k
  size_t tokens;
  size_t k;
  float* out;  // of the first panel's first row; overwritten
  size_t outStride;
  size_t rows;  // that exist, in all the panels together
};

struct PanelCodec {
  const char* name;
  bool integer;      // rounded activations, else floats
  bool rotated;      // activations are rotated before
  float tableError;  // largest error of a table's entry relative to the largest entry; 0: exact

  size_t (*panelBytes)(size_t k);  // 0: not a length of this codec's rows
  void (*pack)(const PanelSource& source, uint8_t* panel);
  void (*multiply)(const PanelProduct& task);
  // One panel as right-hand tiles of one bfloat16 part (kernels.h); null without tiles.
  void (*expand)(const uint8_t* panel, size_t k, uint8_t* tiles);
};

}  // namespace bitloom
