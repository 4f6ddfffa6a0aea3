// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/job_device.h"

#include <utility>

#include "core/base/strings.h"
#include "core/inference/forward.h"

namespace bitloom {

JobDevice::JobDevice(std::string uuid, Open open)
    : m_uuid(std::move(uuid)), m_open(std::move(open)) {}

void JobDevice::open() {
  if (m_uuid.empty() || m_backend != nullptr) return;
  auto backend = m_open();
  if (!backend) {
    m_problem = strCat(backend.error().message, " The CPU goes on.");
    return;
  }
  m_problem.clear();
  m_backend = std::move(*backend);
  m_notesBefore = m_backend->notes().size();
}

DeviceUse JobDevice::use(const Variant& variant) const {
  DeviceUse use{.device = m_uuid, .note = m_problem};
  if (m_backend == nullptr) return use;
  const Forward next(variant);  // would be computed as the runs before it
  use.onDevice = next.usesDevice();
  use.note = next.note();
  const auto notes = m_backend->notes();
  if (use.note.empty() && notes.size() > m_notesBefore) use.note = notes.back();
  use.usedBytes = m_backend->usedBytes();
  use.limitBytes = m_backend->limitBytes();
  return use;
}

}  // namespace bitloom
