// SPDX-License-Identifier: GPL-3.0-or-later
// What the parts of Document share with each other, and with nobody else.
#pragma once
#include <mutex>

#include "ui/document.h"

namespace bitloom {

// All that is made while a model opens.
struct Document::Opened {
  std::shared_ptr<ModelWork> work;
  std::optional<Variant> reference;
  std::string problem;
  ChatTemplate chatTemplate = ChatTemplate::detect({});
  std::map<std::string, Sensitivity> sensitivities;
};

// The open model with another text, and what the store knows of it on that text.
struct Document::OtherText {
  std::shared_ptr<ModelWork> work;
  std::map<std::string, Sensitivity> sensitivities;
};

// Belongs to the one job that measures; the window does not look inside while it runs.
struct Document::Live {
  std::shared_ptr<ModelWork> work;
  JobDevice device;
  DeviceUse use;
  std::optional<Variant> reference;
  std::optional<Variant> variant;
  std::unique_ptr<LiveLoop> loop;
  std::shared_ptr<const Calibration> calibration;  // outlives the variant's use of it
  std::string text;                                // end of the first sequence

  Result<void> prepare(JobContext& job);
  Result<ProbeResult> measure(const Plan& plan, JobContext& job);
};

// From the scan's thread to the window's.
struct Document::ScanFeed {
  std::string metric;
  std::mutex mutex;
  std::vector<Cell> cells;
  std::optional<DeviceUse> use;  // the latest, until the window has seen it

  void tell(const Cell& cell);
  void tell(DeviceUse news);
};

}  // namespace bitloom
