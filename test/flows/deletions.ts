import type { TestClient } from '../support/client.ts';
import { graphql, type VariablesOf } from '../support/graphql.ts';

const DELETE_VIDEO = graphql(`
  mutation DeleteVideo($id: ID!) {
    deleteVideo(id: $id) { __typename ... on DeleteVideoSuccess { deletedId } ... on NotFoundError { path } }
  }
`);
const DELETE_TASK = graphql(`
  mutation DeleteTask($id: ID!) {
    deleteTask(id: $id) {
      __typename
      ... on DeleteTaskSuccess { deletedId }
      ... on NotFoundError { path }
      ... on TaskCannotBeDeletedError { message status }
    }
  }
`);
const UPDATE_VIDEO = graphql(`
  mutation UpdateVideo($input: UpdateVideoInput!) {
    updateVideo(input: $input) {
      __typename
      ... on UpdateVideoSuccess { video { id name description metadata fileName updatedAt } }
      ... on NotFoundError { path }
      ... on InvalidInputError { issues { path code } }
    }
  }
`);

/** The calls that change and delete what came in, of one client. `told` hears of every video that is deleted. */
export function createDeleter(
  client: Pick<TestClient, 'query'>,
  told: (kind: 'deletedVideos', id: string) => void = () => {},
) {
  return {
    async deleteVideo(id: string) {
      const { deleteVideo } = await client.query(DELETE_VIDEO, { id });
      if (deleteVideo.__typename === 'DeleteVideoSuccess') told('deletedVideos', id);
      return deleteVideo;
    },
    deleteTask: async (id: string) => (await client.query(DELETE_TASK, { id })).deleteTask,
    updateVideo: async (input: VariablesOf<typeof UPDATE_VIDEO>['input']) =>
      (await client.query(UPDATE_VIDEO, { input })).updateVideo,
  };
}
