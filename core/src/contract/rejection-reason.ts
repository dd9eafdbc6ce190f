import { z } from 'zod';

/** Why a stored result is rejected. */
export const rejectionReason = z.enum(['quality', 'safety', 'worklist', 'retention']).meta({
  id: 'RejectionReason',
  description:
    'Titles of IHE Imaging Object Change Management: Rejected for Quality Reasons; Rejected for Patient Safety Reasons; Incorrect Modality Worklist Entry; Data Retention Policy Expired',
});
export type RejectionReason = z.infer<typeof rejectionReason>;
