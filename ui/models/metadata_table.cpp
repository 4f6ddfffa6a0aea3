// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/metadata_table.h"

namespace bitloom {
namespace {
constexpr size_t kShown = 120;
constexpr size_t kCopied = 20000;
}  // namespace

void MetadataTable::setMetadata(std::shared_ptr<const Model> model) {
  beginResetModel();
  m_model = std::move(model);
  endResetModel();
}

int MetadataTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() || m_model == nullptr ? 0 : int(m_model->metadata().entries().size());
}

int MetadataTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant MetadataTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || m_model == nullptr) return {};
  const Metadata::Entry& entry = m_model->metadata().entries()[size_t(index.row())];
  if (role != Qt::DisplayRole && role != Qt::UserRole && role != Qt::ToolTipRole) return {};
  switch (index.column()) {
    case Key:
      return QString::fromStdString(validUtf8(entry.key));
    case Type: {
      const std::string_view name = metaTypeName(entry.value.type);
      return QString::fromUtf8(name.data(), qsizetype(name.size()));
    }
    case Value: {
      const size_t length = role == Qt::UserRole ? kCopied : kShown;
      return QString::fromStdString(display(entry.value, length)).replace('\n', QChar(0x23CE));
    }
    default:
      return {};
  }
}

QVariant MetadataTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) return int(Qt::AlignLeft | Qt::AlignVCenter);
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case Key:
      return tr("key");
    case Type:
      return tr("type");
    case Value:
      return tr("value");
    default:
      return {};
  }
}

}  // namespace bitloom
