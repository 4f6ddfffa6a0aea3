// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/tensor_table.h"

#include <QRegularExpression>

#include "ui/format.h"

namespace bitloom {
namespace {

QString shapeText(const Tensor& tensor) {
  QStringList sides;
  for (uint32_t d = 0; d < tensor.dimensions; ++d) sides << formatGrouped(tensor.shape[d]);
  return sides.join(" × ");
}

// "blk.10" after "blk.9": numbers get leading zeros.
QString naturalKey(const QString& name) {
  QString key;
  QString digits;
  const auto flush = [&] {
    if (!digits.isEmpty()) key += digits.rightJustified(6, '0');
    digits.clear();
  };
  for (const QChar c : name) {
    if (c.isDigit()) {
      digits += c;
    } else {
      flush();
      key += c;
    }
  }
  flush();
  return key;
}

}  // namespace

void TensorTable::setTensors(std::shared_ptr<const Model> model, std::vector<std::string> roles) {
  beginResetModel();
  m_model = std::move(model);
  m_roles = std::move(roles);
  endResetModel();
}

int TensorTable::rowCount(const QModelIndex& parent) const {
  return parent.isValid() || m_model == nullptr ? 0 : int(m_model->tensors().size());
}

int TensorTable::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QVariant TensorTable::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || m_model == nullptr) return {};
  const size_t row = size_t(index.row());
  const Tensor& tensor = m_model->tensors()[row];
  if (role == Qt::TextAlignmentRole && index.column() == Size) {
    return int(Qt::AlignRight | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole && role != Qt::UserRole) return {};
  const bool sorting = role == Qt::UserRole;
  switch (index.column()) {
    case Name: {
      const QString name = QString::fromStdString(validUtf8(tensor.name));
      return sorting ? naturalKey(name) : name;
    }
    case Shape:
      return sorting ? QVariant(qulonglong(tensor.weights())) : QVariant(shapeText(tensor));
    case Type:
      return QString::fromStdString(tensor.type);
    case Size:
      return sorting ? QVariant(qulonglong(tensor.bytes.size()))
                     : QVariant(formatGB(tensor.bytes.size()));
    case Role:
      return row < m_roles.size() ? QString::fromStdString(m_roles[row]) : QString();
    default:
      return {};
  }
}

QVariant TensorTable::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    return int((section == Size ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case Name:
      return tr("tensor");
    case Shape:
      return tr("shape");
    case Type:
      return tr("type");
    case Size:
      return tr("size");
    case Role:
      return tr("role");
    default:
      return {};
  }
}

}  // namespace bitloom
