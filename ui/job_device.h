// SPDX-License-Identifier: GPL-3.0-or-later
// Where a job computes, chosen on the window's thread and opened on the job's: opening and asking a
// device waits for what runs there. Used by one job at a time.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/inference/backend.h"
#include "core/variant.h"

namespace bitloom {

// How something was computed.
struct DeviceUse {
  std::string device;       // UUID of the one that was asked for; empty: the CPU
  bool onDevice = false;    // all of it or a part
  std::string note;         // why the CPU computes all of it or a part
  uint64_t usedBytes = 0;   // on the device, by all that compute there
  uint64_t limitBytes = 0;  // that they may take
};

class JobDevice {
 public:
  using Open = std::function<Result<std::shared_ptr<Backend>>()>;

  JobDevice() = default;  // the CPU
  JobDevice(std::string uuid, Open open);

  // When it cannot be opened the CPU goes on, and `use` says why.
  void open();
  // Runs of the variant are computed here from now on. After `open`.
  void computeOn(Variant& variant) const { variant.setBackend(m_backend); }
  // Of runs of this variant since `open`.
  DeviceUse use(const Variant& variant) const;

 private:
  std::string m_uuid;
  Open m_open;
  std::shared_ptr<Backend> m_backend;
  std::string m_problem;
  size_t m_notesBefore = 0;
};

}  // namespace bitloom
