// SPDX-License-Identifier: GPL-3.0-or-later
// The key–value part of a model file as rows.
#pragma once
#include <QAbstractTableModel>
#include <memory>

#include "core/model.h"

namespace bitloom {

class MetadataTable : public QAbstractTableModel {
  Q_OBJECT
 public:
  enum Column { Key, Type, Value, kColumns };

  using QAbstractTableModel::QAbstractTableModel;
  void setMetadata(std::shared_ptr<const Model> model);

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  // `Qt::UserRole` of Value is the text at a length fit for copying.
  QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::shared_ptr<const Model> m_model;
};

}  // namespace bitloom
